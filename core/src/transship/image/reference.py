"""Docker references: ``[domain/]path[:tag][@digest]``, and how short ones are completed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from transship.errors import InvalidDigestError, InvalidReferenceError
from transship.image.digest import Digest

_DEFAULT_DOMAIN = "docker.io"
_DEFAULT_DOMAIN_ALIAS = "index.docker.io"
_OFFICIAL_PREFIX = "library/"
_DEFAULT_TAG = "latest"
_NAME_LIMIT = 255

# Possessive quantifiers keep every match linear in the length of the text.
_DOMAIN_LABEL = r"[a-zA-Z0-9]++(?:-++[a-zA-Z0-9]++)*+"
_DOMAIN = re.compile(rf"{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*+(?::[0-9]++)?+")
_COMPONENT = re.compile(r"[a-z0-9]++(?:(?:__|[._]|-++)[a-z0-9]++)*+")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}+")
_BARE_IMAGE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class DockerReference:
    """A complete reference to a repository, or to an image in it; it is valid once it exists.

    ``domain`` is the registry with its port, ``path`` the repository there. ``tag`` is ``""`` and ``digest``
    None where the reference has none. ``str()`` gives the full form, ``domain/path[:tag][@digest]``.
    """

    domain: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    def __post_init__(self) -> None:
        if not _DOMAIN.fullmatch(self.domain):
            raise _invalid_format(f"{self.domain}/{self.path}")
        if not all(_COMPONENT.fullmatch(component) for component in self.path.split("/")):
            raise _invalid_format(f"{self.domain}/{self.path}")
        if self.tag and not _TAG.fullmatch(self.tag):
            raise _invalid_format(f"{self.name}:{self.tag}")
        if len(self.name) > _NAME_LIMIT:
            raise InvalidReferenceError(f"repository name must not be more than {_NAME_LIMIT} characters")

    @classmethod
    def parse(cls, text: str) -> DockerReference:
        """Read a full or familiar reference; ``busybox`` is ``docker.io/library/busybox``.

        No tag is added. Raises ``InvalidReferenceError``.
        """
        if _BARE_IMAGE_ID.fullmatch(text):
            raise InvalidReferenceError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
        domain, remainder = _split_domain(text)
        repository = remainder.partition(":")[0]
        if repository.lower() != repository:
            raise InvalidReferenceError("invalid reference format: repository name must be lowercase")
        return cls._from_parts(text, domain, remainder)

    @classmethod
    def parse_canonical(cls, text: str) -> DockerReference:
        """As ``parse``, but ``text`` must already be what ``str()`` gives."""
        reference = cls.parse(text)
        if str(reference) != text:
            raise InvalidReferenceError(f"repository name must be canonical: {_shown(text)}")
        return reference

    @classmethod
    def _from_parts(cls, text: str, domain: str, remainder: str) -> DockerReference:
        named, has_digest, digest_text = remainder.partition("@")
        path, has_tag, tag = named.partition(":")
        if (has_tag and not tag) or (has_digest and not digest_text):
            raise _invalid_format(text)
        return cls(domain, path, tag, _parsed_digest(digest_text) if has_digest else None)

    @property
    def name(self) -> str:
        """The repository in full: ``domain/path``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: ``busybox`` for ``docker.io/library/busybox``.

        In full where less would name another one: ``docker.io/localhost/app``.
        """
        if self.domain != _DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL_PREFIX)
        familiar = self.path if "/" in short else short
        is_clear = _split_domain(familiar) == (self.domain, self.path) and not _BARE_IMAGE_ID.fullmatch(familiar)
        return familiar if is_clear else self.name

    def with_default_tag(self) -> DockerReference:
        """The same with the tag ``latest`` if there is neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=_DEFAULT_TAG)

    def without_tag(self) -> DockerReference:
        """The same without its tag; a digest stays."""
        return replace(self, tag="")

    @property
    def policy_identity(self) -> str:
        """The most specific scope of a trust policy that this image falls under."""
        return str(self)

    @property
    def policy_namespaces(self) -> tuple[str, ...]:
        """The wider scopes of a trust policy, most specific first: repository, parents, domain, wildcards."""
        components = self.name.split("/")
        parents = ["/".join(components[:count]) for count in range(len(components), 0, -1)]
        labels = self.domain.partition(":")[0].split(".")
        wildcards = ["*." + ".".join(labels[start:]) for start in range(1, len(labels))]
        return (*parents, *wildcards)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        domain, remainder = first, rest
    else:
        domain, remainder = _DEFAULT_DOMAIN, text
    if domain == _DEFAULT_DOMAIN_ALIAS:
        domain = _DEFAULT_DOMAIN
    if domain == _DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL_PREFIX + remainder
    return domain, remainder


def _parsed_digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigestError as error:
        raise InvalidReferenceError(f"invalid reference format: {error}") from None


def _invalid_format(text: str) -> InvalidReferenceError:
    return InvalidReferenceError(f"invalid reference format: {_shown(text)}")


def _shown(text: str) -> str:
    """What is wrong, without what may be a user's name and password, as in a URL."""
    host, slash, path = text.partition("/")
    _, at, bare_host = host.rpartition("@")
    if at and (slash or ":" not in bare_host):
        text = f"***@{bare_host}{slash}{path}"
    return repr(text if len(text) <= 140 else text[:140] + "…")
