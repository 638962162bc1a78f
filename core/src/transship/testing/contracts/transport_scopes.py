"""What a trust policy may rely on: under which scopes a transport lets it know its images."""
# ruff: noqa: S101 - assert is how tests speak

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from transship.errors import InvalidReferenceError, TransshipError
from transship.plugin.transport import Reference, Transport
from transship.policy.document import Policy, scope_names
from transship.policy.evaluation import require_scopes_of
from transship.policy.requirements import Reject
from transship.testing.contracts.transport_steps import TransportSteps

_NO_SCOPES = ("*", "/", "//", " ", ":", "..", "a\0b", "\udcff", "a" * 100_000)


class ScopeTests(TransportSteps):
    """A part of ``TransportContract``."""

    def test_scopes_of_a_reference_are_such_as_a_policy_can_have(
        self, transport: Transport, reference_text: str
    ) -> None:
        reference = transport.parse_reference(reference_text)
        require_scopes_of(reference, Policy((), {transport.name: {"some rule": (Reject(),)}}), transport)
        for scope in scope_names(reference):
            assert scope == scope.strip(), f"a blank is easily left out: {scope!r}"
            assert scope.isprintable()
            assert scope.endswith("://") or not scope.endswith("/"), f"{scope} is {scope.rstrip('/')} to its users"
        assert "*" not in reference.policy_identity, "a star stands for nothing, and looks as if it did"

    def test_scope_that_no_image_can_have_is_refused_or_nothing_is(
        self, transport: Transport, reference_text: str
    ) -> None:
        for scope in _NO_SCOPES:
            with contextlib.suppress(InvalidReferenceError):
                transport.validate_policy_scope(scope)
        identity = transport.parse_reference(reference_text).policy_identity
        if identity and type(transport).validate_policy_scope is not Transport.validate_policy_scope:
            with pytest.raises(InvalidReferenceError):
                transport.validate_policy_scope(f" {identity}")

    def test_scopes_do_not_depend_on_what_is_there(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        assert self._reference(transport, reference_text) == reference

    def test_one_place_has_one_scope_however_it_is_said(
        self,
        transport: Transport,
        reference_text: str,
        local_path: Path | None,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        reference, _ = self._filled(transport, reference_text)
        if local_path is None or not local_path.exists():
            return
        with contextlib.chdir(local_path.parent):
            for path in _other_names(local_path, tmp_path_factory.mktemp("links")):
                with contextlib.suppress(InvalidReferenceError):
                    found = self._reference(transport, reference_text.replace(str(local_path), path))
                    assert scope_names(found) == scope_names(reference), f"{path} passes for another place"

    def test_places_that_differ_have_scopes_that_differ(
        self, transport: Transport, reference_text: str, elsewhere_text: str | None
    ) -> None:
        reference = self._reference(transport, reference_text)
        if reference.policy_identity:
            if elsewhere_text is not None:
                other = self._reference(transport, elsewhere_text)
                assert other.policy_identity != reference.policy_identity, f"{elsewhere_text} passes for another place"
            identities = {each.policy_identity for each in _neighbours(transport, reference_text)}
            assert identities != {reference.policy_identity}, "leave out what is the same for all images"

    def test_what_is_read_is_what_was_judged(
        self,
        transport: Transport,
        reference_text: str,
        elsewhere_text: str | None,
        local_path: Path | None,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """A policy is asked about a reference. Before the image is read, a link in it leads to another place."""
        reference, image = self._filled(transport, reference_text)
        if elsewhere_text is None or local_path is None or not local_path.exists() or not reference.policy_identity:
            return
        other = self._reference(transport, elsewhere_text)
        self._written(transport, other, architecture="arm64")
        link = tmp_path_factory.mktemp("links") / local_path.name
        link.symlink_to(local_path)
        judged = self._reference(transport, reference_text.replace(str(local_path), str(link)))
        link.unlink()
        link.symlink_to(_changed_part(reference_text, elsewhere_text, local_path))
        with contextlib.suppress(TransshipError), self._source(transport, judged) as source:
            self._check_image(source, source.get_manifest(), image)


def _other_names(path: Path, links: Path) -> Iterator[str]:
    """The same file or folder, as a path that is written differently."""
    parent, itself = links / "parent", links / f"itself{path.suffix}"
    parent.symlink_to(path.parent)
    itself.symlink_to(path)
    yield path.name
    yield f"{path.parent}/./{path.name}"
    yield f"{path.parent}//{path.name}"
    yield f"{path.parent}/../{path.parent.name}/{path.name}"
    yield str(parent / path.name)
    yield str(itself)


def _changed_part(text: str, other: str, path: Path) -> str:
    """The path that ``other`` has where ``text`` has ``path``."""
    before, _, after = text.partition(str(path))
    return other[len(before) : len(other) - len(after)]


def _neighbours(transport: Transport, text: str) -> Iterator[Reference]:
    """What the texts name that have one other letter or digit."""
    for position, character in enumerate(text):
        if character.isascii() and character.isalnum():
            other = "1" if character == "0" else "0" if character.isdigit() else "b" if character == "a" else "a"
            with contextlib.suppress(InvalidReferenceError):
                yield transport.parse_reference(text[:position] + other + text[position + 1 :])
