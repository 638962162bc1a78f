"""Which docker reference in a signature counts for an image (``signedIdentity``, containers-policy.json(5))."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from transship.errors import InvalidReferenceError, PolicyError
from transship.image.reference import DockerReference
from transship.plugin.members import Members


class SignedIdentity:
    """A rule that accepts some references in signatures and no others."""

    def accepts(self, image: DockerReference | None, signed: str) -> bool:
        """Whether a signature for ``signed`` counts for ``image``, None where the image has no such name."""
        try:
            reference = DockerReference.parse(signed)
        except InvalidReferenceError:
            return False
        return self._accepts(image, reference)

    def _accepts(self, image: DockerReference | None, signed: DockerReference) -> bool:
        raise NotImplementedError


def parse_signed_identity(members: Members, name: str = "signedIdentity") -> SignedIdentity:
    """Take the rule ``name`` out of a requirement's members; ``matchRepoDigestOrExact`` if it is not there.

    Raises ``PolicyError``.
    """
    rule = members.object(name)
    if rule is None:
        return MatchRepositoryDigestOrExact()
    kind = rule.required_text("type")
    if kind not in _KINDS:
        raise PolicyError(f'Unknown policy reference match type "{kind}"')
    identity = _KINDS[kind](rule)
    rule.finish()
    return identity


def _is_fixed(reference: DockerReference) -> bool:
    return bool(reference.tag) or reference.digest is not None


class MatchExact(SignedIdentity):
    """The very same reference."""

    def _accepts(self, image: DockerReference | None, signed: DockerReference) -> bool:
        return image is not None and _is_fixed(image) and _is_fixed(signed) and image == signed


class MatchRepositoryDigestOrExact(SignedIdentity):
    """The very same reference; for an image that is named by digest alone, any of the same repository.

    An image that is named by tag and digest may also be signed by its tag alone: which manifest it is was checked.
    """

    def _accepts(self, image: DockerReference | None, signed: DockerReference) -> bool:
        if image is None or not _is_fixed(signed):
            return False
        if image.tag:
            return signed in (image, replace(image, digest=None))
        return image.digest is not None and image.name == signed.name


class MatchRepository(SignedIdentity):
    """Any reference of the same repository."""

    def _accepts(self, image: DockerReference | None, signed: DockerReference) -> bool:
        return image is not None and image.name == signed.name


@dataclass(frozen=True, slots=True)
class ExactReference(SignedIdentity):
    """One given reference, whatever the image is called."""

    reference: DockerReference

    def _accepts(self, image: DockerReference | None, signed: DockerReference) -> bool:
        return _is_fixed(signed) and signed == self.reference


@dataclass(frozen=True, slots=True)
class ExactRepository(SignedIdentity):
    """Any reference of one given repository, whatever the image is called."""

    name: str

    def _accepts(self, image: DockerReference | None, signed: DockerReference) -> bool:
        return signed.name == self.name


@dataclass(frozen=True, slots=True)
class RemapIdentity(SignedIdentity):
    """As ``matchRepoDigestOrExact``, after a prefix of the image's name was replaced."""

    prefix: str
    signed_prefix: str

    def _accepts(self, image: DockerReference | None, signed: DockerReference) -> bool:
        if image is None:
            return False
        if image.name != self.prefix and not image.name.startswith(f"{self.prefix}/"):
            return MatchRepositoryDigestOrExact().accepts(image, str(signed))
        try:
            renamed = DockerReference.parse_canonical(self.signed_prefix + image.name.removeprefix(self.prefix))
        except InvalidReferenceError:
            return False
        return MatchRepositoryDigestOrExact().accepts(replace(renamed, tag=image.tag, digest=image.digest), str(signed))


def _exact_reference(rule: Members) -> SignedIdentity:
    reference = _reference(rule, "dockerReference")
    if not _is_fixed(reference):
        raise PolicyError(f'"dockerReference" "{reference}" has neither a tag nor a digest')
    return ExactReference(reference)


def _exact_repository(rule: Members) -> SignedIdentity:
    return ExactRepository(_reference(rule, "dockerRepository").name)


def _reference(rule: Members, name: str) -> DockerReference:
    text = rule.required_text(name)
    try:
        return DockerReference.parse(text)
    except InvalidReferenceError as error:
        raise PolicyError(f'Invalid format of "{name}" "{text}": {error}') from None


def _remap_identity(rule: Members) -> SignedIdentity:
    return RemapIdentity(_namespace(rule, "prefix"), _namespace(rule, "signedPrefix"))


def _namespace(rule: Members, name: str) -> str:
    text = rule.required_text(name)
    domain, slash, path = text.partition("/")
    try:
        DockerReference(domain, path if slash else "any")
    except InvalidReferenceError:
        raise PolicyError(f'"{name}" "{text}" is no namespace without tag and digest') from None
    return text


_KINDS: Mapping[str, Callable[[Members], SignedIdentity]] = {
    "matchExact": lambda rule: MatchExact(),
    "matchRepoDigestOrExact": lambda rule: MatchRepositoryDigestOrExact(),
    "matchRepository": lambda rule: MatchRepository(),
    "exactReference": _exact_reference,
    "exactRepository": _exact_repository,
    "remapIdentity": _remap_identity,
}
