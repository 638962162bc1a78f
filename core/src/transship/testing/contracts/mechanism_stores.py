"""What the place for signatures does that a mechanism may have."""
# ruff: noqa: S101 - assert is how tests speak

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from transship.errors import TransshipError, UnsupportedError
from transship.plugin.context import Context
from transship.plugin.mechanism import SignatureMechanism, SigningRequest
from transship.plugin.signature import Signature
from transship.testing.contracts.damage import damages, limited_memory, overgrown
from transship.testing.contracts.failing import failing_only_with, limited_file_size, result_or_refusal
from transship.testing.contracts.mechanism_steps import IMAGE, OF_OTHER_KINDS, OTHER_IMAGE, signature_by, untrusted

_BIG_SIGNATURE = Signature("unheard-of", bytes(400_000))


class StoreTests:
    """A part of ``SignatureMechanismContract``."""

    def test_store_keeps_signatures_or_there_is_none(
        self, mechanism: SignatureMechanism, signing_request: SigningRequest, store_text: str | None
    ) -> None:
        if store_text is None:
            with pytest.raises(UnsupportedError):
                mechanism.open_store("x", Context())
            return
        reference = untrusted([]).reference
        store = mechanism.open_store(store_text, Context())
        assert tuple(store.read(reference, IMAGE.digest)) == ()
        own = signature_by(mechanism, signing_request)
        for signatures in ((own,), (*OF_OTHER_KINDS, own), (OF_OTHER_KINDS[0],)):
            store.write(reference, IMAGE.digest, signatures)
            assert tuple(store.read(reference, IMAGE.digest)) == signatures
            again = mechanism.open_store(store_text, Context())
            assert tuple(again.read(reference, IMAGE.digest)) == signatures
        assert tuple(store.read(reference, OTHER_IMAGE.digest)) == ()

    def test_damaged_store_causes_no_error_but_those_of_transship(
        self, mechanism: SignatureMechanism, signing_request: SigningRequest, store_text: str | None
    ) -> None:
        if store_text is not None:
            for _ in damages(self._filled(mechanism, signing_request, store_text)):
                result_or_refusal(lambda: _read(mechanism, store_text))

    def test_store_that_is_far_too_big_is_not_held_in_memory(
        self, mechanism: SignatureMechanism, signing_request: SigningRequest, store_text: str | None
    ) -> None:
        if store_text is not None:
            for path in overgrown(self._filled(mechanism, signing_request, store_text)):
                with limited_memory(f"of {path}"):
                    result_or_refusal(lambda: _read(mechanism, store_text))

    def test_store_that_cannot_be_written_keeps_what_it_has(
        self, mechanism: SignatureMechanism, signing_request: SigningRequest, store_text: str | None
    ) -> None:
        if store_text is not None:
            self._filled(mechanism, signing_request, store_text)
            before = _read(mechanism, store_text)
            store, is_written = mechanism.open_store(store_text, Context()), False
            with limited_file_size(), failing_only_with(TransshipError):
                store.write(untrusted([]).reference, IMAGE.digest, (_BIG_SIGNATURE,))
                is_written = True
            assert _read(mechanism, store_text) == ((_BIG_SIGNATURE,) if is_written else before)

    def _filled(self, mechanism: SignatureMechanism, request: SigningRequest, store_text: str) -> Path | None:
        """A place that signatures were put into, None if it is not a path of this machine."""
        store = mechanism.open_store(store_text, Context())
        store.write(untrusted([]).reference, IMAGE.digest, (signature_by(mechanism, request), *OF_OTHER_KINDS))
        return Path(store_text) if os.path.isabs(store_text) and os.path.exists(store_text) else None


def _read(mechanism: SignatureMechanism, store_text: str) -> Sequence[Signature]:
    found = tuple(mechanism.open_store(store_text, Context()).read(untrusted([]).reference, IMAGE.digest))
    assert all(isinstance(each, Signature) for each in found)
    return found
