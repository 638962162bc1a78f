from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.errors import InvalidDigestError
from transship.image.digest import Digest, Digester, digest_of

LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
SOME = f"sha256:{'a' * 64}"


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_digest_is_that_of_the_algorithm(algorithm):
    digest = digest_of(b"content", algorithm)
    assert str(digest) == f"{algorithm}:{hashlib.new(algorithm, b'content').hexdigest()}"
    assert Digest.parse(str(digest)) == digest
    hasher = digest.hasher()
    hasher.update(b"content")
    assert hasher.hexdigest() == digest.encoded


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_pieces_make_the_digest_of_the_whole(algorithm):
    digester = Digester(algorithm)
    assert digester.digest() == digest_of(b"", algorithm)
    for piece in (b"con", b"", b"tent"):
        digester.update(piece)
    assert digester.digest() == digest_of(b"content", algorithm)


@pytest.mark.parametrize("algorithm", ["", "md5", "sha1", "SHA256", "sha3_256", "blake2b"])
def test_other_algorithms_are_refused(algorithm):
    with pytest.raises(InvalidDigestError):
        Digester(algorithm)
    with pytest.raises(InvalidDigestError):
        Digest(algorithm, "a" * 64)
    with pytest.raises(InvalidDigestError):
        Digest.parse(f"{algorithm}:{'a' * 64}")


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 96, 128, 1 << 20])
def test_other_lengths_are_refused(length):
    with pytest.raises(InvalidDigestError):
        Digest.parse(f"sha256:{'a' * length}")
    with pytest.raises(InvalidDigestError):
        Digest("sha256", "a" * length)


@pytest.mark.parametrize(
    "text", ["a" * 64, "sha256:", ":", "", f" sha256:{'a' * 64}", f"sha256:{'a' * 64}\n", None, b"x"]
)
def test_text_without_the_form_is_refused(text):
    with pytest.raises(InvalidDigestError):
        Digest.parse(text)


@pytest.mark.parametrize("character", ["A", "g", "/", ".", "\0", "\n", " ", "\N{FULLWIDTH DIGIT ONE}"])
@pytest.mark.parametrize("position", [0, 31, 63])
def test_anything_but_lower_case_hexadecimal_is_refused(character, position):
    encoded = "a" * position + character + "a" * (63 - position)
    with pytest.raises(InvalidDigestError):
        Digest.parse(f"sha256:{encoded}")
    with pytest.raises(InvalidDigestError):
        Digest("sha256", encoded)


@given(st.text("0123456789abcdefABCDEF:/.sh \n", max_size=140) | st.from_regex(r"sha(256|384|512):[0-9a-f]{64,128}"))
def test_whatever_is_read_is_written_the_same(text):
    with contextlib.suppress(InvalidDigestError):
        digest = Digest.parse(text)
        assert str(digest) == text
        assert len(digest.encoded) == LENGTHS[digest.algorithm]
