"""PEM texts."""

from __future__ import annotations

import base64
import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.errors import SignatureError
from transship_sigstore.pem import PemBlock, decode_base64, read_pem, write_pem

LABELS = st.from_regex(r"[A-Z0-9]([A-Z0-9 ]{0,20}[A-Z0-9])?", fullmatch=True)


@given(st.lists(st.tuples(LABELS, st.binary(max_size=200)), max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(blocks, line_end):
    text = b"".join(write_pem(label, data) for label, data in blocks).replace(b"\n", line_end.encode())
    assert read_pem(text, "text") == [PemBlock(label, data) for label, data in blocks]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(SignatureError):
        assert not read_pem(data, "bytes") or b"-----BEGIN" in data


@given(st.data())
def test_changed_text_is_never_read_as_something_else(data):
    text = write_pem("PUBLIC KEY", b"some bytes of a key, long enough for two lines of the text")
    position = data.draw(st.integers(0, len(text) - 1))
    changed = text[:position] + data.draw(st.binary(max_size=2)) + text[position + 1 :]
    try:
        blocks = read_pem(changed, "text")
    except SignatureError:
        return
    assert len(blocks) <= 1
    for block in blocks:
        inside = changed.split(b"-----")[2]
        assert block.data == base64.b64decode(inside)


BLOCK = write_pem("KEY", b"data")


@pytest.mark.parametrize(
    "text",
    [
        b"x" + BLOCK,
        BLOCK + b"x",
        BLOCK[:-2],
        BLOCK.replace(b"END KEY", b"END OTHER"),
        BLOCK.replace(b"KEY-----\n", b"KEY-----\nProc-Type: 4,ENCRYPTED\n\n"),
        BLOCK.replace(b"ZGF0", b"ZG*0"),
        BLOCK.replace(b"ZGF0YQ==", b"ZGF0YR=="),
        BLOCK.replace(b"BEGIN KEY", b"BEGIN key"),
        BLOCK + b"-----BEGIN",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(SignatureError):
        read_pem(text, "text")


def test_comments_are_read_over_where_they_may_be():
    text = b"the first\n" + BLOCK + b"the second: \xff\n" + BLOCK + b"end\n"
    assert len(read_pem(text, "text", comments=True)) == 2
    with pytest.raises(SignatureError):
        read_pem(text + b"-----BEGIN KEY-----", "text", comments=True)


def test_long_texts_take_no_long_time():
    start = time.monotonic()
    for text in (b"-----BEGIN KEY-----\n" * 50_000, b"-----BEGIN KEY-----\n" + b"A" * (1 << 20), b"-" * (1 << 20)):
        with pytest.raises(SignatureError):
            read_pem(text, "text")
    with pytest.raises(SignatureError):
        read_pem(BLOCK * 20_000, "text")
    assert time.monotonic() - start < 5


@given(st.binary(max_size=100))
def test_base64_has_one_form(data):
    text = base64.b64encode(data)
    assert decode_base64(text, "text") == data
    for other in (text + b"\n", b" " + text, text + b"=", text.rstrip(b"=") + b"A"):
        with contextlib.suppress(SignatureError):
            assert base64.b64encode(decode_base64(other, "text")) == other
