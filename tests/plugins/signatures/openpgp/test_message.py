"""Taking apart what anybody may have written."""

from __future__ import annotations

import bz2
import contextlib
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpgp_keys import literal, packet, payload

from transship.errors import SignatureError
from transship.image.strict_json import METADATA_LIMIT
from transship_openpgp.message import parse_message

KEY_ID = "0123456789ABCDEF"
ONE_PASS = packet(4, bytes([3, 0, 8, 22]) + bytes.fromhex(KEY_ID) + b"\1")
SIGNATURE = packet(2, b"signature")
CONTENT = b'{"a": "text"}'
MESSAGE = ONE_PASS + literal(CONTENT) + SIGNATURE


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def in_parts(tag: int, body: bytes, power: int) -> bytes:
    size = 1 << power
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    *whole, last = [*parts, b""] if len(parts[-1]) == size else parts
    chunks = b"".join(bytes([224 | power]) + part for part in whole)
    return bytes([0xC0 | tag]) + chunks + b"\xff" + len(last).to_bytes(4) + last


@pytest.mark.parametrize("options", [[], ["-z0"], *(["--compress-algo", name] for name in ("zip", "zlib", "bzip2"))])
@pytest.mark.parametrize("name", ["rsa", "ed25519", "subkey"])
def test_what_gpg_writes_is_read(gnupg, name, options):
    content = payload()
    message = parse_message(gnupg.sign(content, name, *options))
    assert message.content == content
    assert gnupg.fingerprints(name)[-1].endswith(message.key_id)


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        bytes([0x90, 13]) + ONE_PASS[6:] + literal(CONTENT) + SIGNATURE,
        ONE_PASS + literal(CONTENT, b"a name") + SIGNATURE,
        ONE_PASS + in_parts(11, literal(CONTENT)[6:], 2) + SIGNATURE,
        packet(8, b"\0" + MESSAGE),
        packet(8, b"\1" + deflated(MESSAGE)),
        packet(8, b"\2" + zlib.compress(MESSAGE)),
        packet(8, b"\3" + bz2.compress(MESSAGE)),
        b"\xa3\1" + deflated(MESSAGE),
        in_parts(8, b"\1" + deflated(MESSAGE), 4),
    ],
)
def test_every_form_of_the_same_message_is_read(message):
    parsed = parse_message(message)
    assert (parsed.content, parsed.key_id) == (CONTENT, KEY_ID)


@pytest.mark.parametrize("length", [0, 191, 192, 8383, 8384, 100_000])
def test_content_of_any_length_is_read(length):
    content = bytes(length)
    assert parse_message(ONE_PASS + literal(content) + SIGNATURE).content == content


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (literal(CONTENT), 0),
        (ONE_PASS + literal(CONTENT), 0),
        (ONE_PASS * 2 + literal(CONTENT) + SIGNATURE * 2, 2),
        (ONE_PASS + literal(CONTENT) + SIGNATURE + MESSAGE, 2),
    ],
)
def test_other_numbers_of_signatures_are_counted(message, count):
    with pytest.raises(SignatureError, match=f"Unexpected GPG signature count {count}$"):
        parse_message(message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{}",
        b"-----BEGIN PGP MESSAGE-----\n",
        SIGNATURE,
        SIGNATURE + literal(CONTENT),
        ONE_PASS + SIGNATURE,
        literal(CONTENT) + SIGNATURE,
        ONE_PASS + literal(CONTENT) * 2 + SIGNATURE,
        literal(CONTENT) + MESSAGE,
        MESSAGE + literal(CONTENT),
        MESSAGE + b"\n",
        MESSAGE + packet(10, b"PGP"),
        MESSAGE + packet(8, b"\0" + literal(CONTENT)),
        packet(8, b"\0" + MESSAGE) + literal(CONTENT),
        packet(8, b"\0" + packet(8, b"\0" + MESSAGE)),
        packet(8, b""),
        packet(8, b"\4" + MESSAGE),
        packet(8, b"\1" + deflated(MESSAGE) + b"more"),
        packet(8, b"\1" + deflated(MESSAGE)[:-3]),
        packet(8, b"\2not zlib"),
        packet(8, b"\3not bzip2"),
        b"\xa3\1" + deflated(MESSAGE) + MESSAGE,
        packet(3, bytes(13)) + packet(9, MESSAGE),
        packet(1, bytes(13)) + packet(18, MESSAGE),
        ONE_PASS + b"\xaf" + literal(CONTENT)[6:] + SIGNATURE,
        in_parts(4, ONE_PASS[6:], 3) + literal(CONTENT) + SIGNATURE,
        ONE_PASS + packet(11, b"b\xffname") + SIGNATURE,
        packet(10, b"PGP") * 100_000,
    ],
)
def test_anything_else_is_refused(message):
    with pytest.raises(SignatureError):
        parse_message(message)


@pytest.mark.parametrize("end", range(len(MESSAGE)))
def test_a_truncated_message_is_refused(end):
    with pytest.raises(SignatureError):
        parse_message(MESSAGE[:end])


@pytest.mark.parametrize(
    "message",
    [
        ONE_PASS + literal(bytes(METADATA_LIMIT)) + SIGNATURE,
        packet(8, b"\2" + zlib.compress(literal(bytes(METADATA_LIMIT)))),
        packet(8, b"\3" + bz2.compress(literal(bytes(64 << 20)))),
        b"\xcb\xff\xff\xff\xff\xff",
        b"\xcb\xfe",
    ],
)
def test_size_is_bounded(message):
    start = time.process_time()
    with pytest.raises(SignatureError):
        parse_message(message)
    assert time.process_time() - start < 5


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(SignatureError):
        parse_message(data)


@given(st.lists(st.tuples(st.sampled_from([2, 4, 8, 10, 11, 18]), st.binary(max_size=40)), max_size=5))
def test_any_packets_are_read_only_in_the_one_order(packets):
    data = b"".join(packet(tag, body) for tag, body in packets)
    try:
        parse_message(data)
    except SignatureError:
        return
    tags = [tag for tag, _ in packets]
    assert tags in ([4, 11, 2], [8])


@given(st.binary(max_size=2000), st.binary(max_size=255))
def test_content_comes_out_as_it_went_in(content, name):
    message = ONE_PASS + literal(content, name) + SIGNATURE
    for form in (message, packet(8, b"\1" + deflated(message)), b"\xa3\3" + bz2.compress(message)):
        assert parse_message(form).content == content


@given(st.integers(0, len(MESSAGE) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_breaks_the_reader(position, mask):
    damaged = bytearray(MESSAGE)
    damaged[position] ^= mask
    with contextlib.suppress(SignatureError):
        parse_message(bytes(damaged))
