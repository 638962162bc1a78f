"""Signatures as they are stored."""

from __future__ import annotations

import pytest

from transship.errors import TransshipError
from transship.plugin.signature import SIGSTORE_JSON, SIMPLE_SIGNING, Signature


@pytest.mark.parametrize("first", [0x88, 0x89, 0x90, 0xA3, 0xC2])
def test_openpgp_is_told_by_its_first_byte(first):
    data = bytes([first]) + b"packet"
    signature = Signature.parse(data)
    assert (signature.format, signature.payload) == (SIMPLE_SIGNING, data)
    assert signature.to_bytes() == data


def test_named_format_is_read_and_written_the_same():
    data = b"\0sigstore-json\n{}\n"
    signature = Signature.parse(data)
    assert signature == Signature(SIGSTORE_JSON, b"{}\n")
    assert signature.to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"{}", b"\0", b"\0name", b"\0\npayload", b"\0n\xc3\xa4me\npayload", b"\xff"])
def test_anything_else_is_refused(data):
    with pytest.raises(TransshipError):
        Signature.parse(data)
