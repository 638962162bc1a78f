"""References to images in registries: ``//NAME[:TAG][@DIGEST]``."""

from __future__ import annotations

from dataclasses import replace

from transship.errors import InvalidReferenceError
from transship.image.reference import DockerReference
from transship.plugin.transport import Reference

UNKNOWN_DIGEST = "@@unknown-digest@@"

_PREFIX = "//"


class RegistryReference(Reference):
    """An image in a registry, or, where ``image`` has neither tag nor digest, a repository."""

    named: DockerReference

    @property
    def image(self) -> DockerReference:
        """What it names."""
        return self.named

    @property
    def has_unknown_digest(self) -> bool:
        """Whether it is a destination for a manifest that gets no tag."""
        return self.text.endswith(UNKNOWN_DIGEST)


def registry_reference(reference: Reference) -> RegistryReference:
    """What this transport parsed, with its own fields."""
    if not isinstance(reference, RegistryReference):
        raise TypeError(f"{reference} does not name an image in a registry")
    return reference


def parse_image(transport: str, text: str) -> RegistryReference:
    """Read ``//NAME[:TAG][@DIGEST]`` or ``//NAME@@unknown-digest@@``; raise ``InvalidReferenceError``.

    Without tag and digest the tag is ``latest``.
    """
    rest = _without_prefix(transport, text)
    if not rest.endswith(UNKNOWN_DIGEST):
        return _reference(transport, DockerReference.parse(rest).with_default_tag())
    image = DockerReference.parse(rest.removesuffix(UNKNOWN_DIGEST))
    if image.tag or image.digest:
        raise InvalidReferenceError(
            f'docker: image reference "{rest}" has unknown digest set but it contains either a tag or digest'
        )
    return _reference(transport, image, has_unknown_digest=True)


def parse_repository(transport: str, text: str) -> RegistryReference:
    """Read ``//NAME``; raise ``InvalidReferenceError``."""
    image = DockerReference.parse(_without_prefix(transport, text))
    if image.tag or image.digest:
        raise InvalidReferenceError("No tag or digest allowed in reference")
    return _reference(transport, image)


def _without_prefix(transport: str, text: str) -> str:
    if not text.startswith(_PREFIX):
        raise InvalidReferenceError(f"{transport}: image reference {text} does not start with {_PREFIX}")
    return text.removeprefix(_PREFIX)


def _reference(transport: str, image: DockerReference, *, has_unknown_digest: bool = False) -> RegistryReference:
    suffix = str(image).removeprefix(image.name) + (UNKNOWN_DIGEST if has_unknown_digest else "")
    # What a policy says of tags must not be said of a digest that only happens to stand beside one.
    scope = replace(image, tag="") if image.digest else image
    return RegistryReference(
        transport=transport,
        text=f"{_PREFIX}{image.familiar_name}{suffix}",
        named=image,
        policy_identity=scope.policy_identity,
        policy_namespaces=scope.policy_namespaces,
    )


def validate_registry_scope(scope: str) -> None:
    """Accept a host, a repository or part of one, a repository with tag or digest, and ``*.domain``.

    Anything else, such as a name that is not complete, can be the scope of no image.
    """
    if scope.startswith("*."):
        is_possible = ":" not in scope and "/" not in scope and _is_canonical(f"{scope[2:]}:1/part/image")
    else:
        is_possible = _is_canonical(f"{scope}/part/image") or _is_canonical(scope)
    if not is_possible:
        raise InvalidReferenceError(f"Invalid scope {scope!r} for docker: no image can have it")


def _is_canonical(text: str) -> bool:
    """Whether ``text`` is the complete name of an image, with a tag or a digest at most."""
    try:
        reference = DockerReference.parse_canonical(text)
    except InvalidReferenceError:
        return False
    return not (reference.tag and reference.digest)
