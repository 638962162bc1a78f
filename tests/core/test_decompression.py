"""Compression is told from the bytes."""

from __future__ import annotations

import bz2
import io
import lzma
import os

import pytest

from transship import hookimpl
from transship.decompression import decompressed, detect, sniffed
from transship.discovery import PluginManager
from transship.errors import UnknownPluginError
from transship.plugin.blob import BytesContent, FileContent, StreamContent
from transship.plugin.compression import Compression
from transship.testing.layers import gzipped, tar_of, zstd_framed

PLAIN = tar_of({"file": bytes(range(256)) * 100})
FORMS = {"gzip": gzipped, "zstd": zstd_framed, "bzip2": bz2.compress, "xz": lzma.compress, None: bytes}


class _Named(Compression):
    def __init__(self, name: str, magic: bytes) -> None:
        self.name = name
        self.magic = magic


class _Plugin:
    def __init__(self, *compressions: object) -> None:
        self._compressions = compressions

    @hookimpl
    def transship_compressions(self):
        return self._compressions


@pytest.fixture
def manager():
    return PluginManager()


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_known_by_its_first_bytes(manager, name):
    assert detect(manager, FORMS[name](PLAIN)[:8]) == name


@pytest.mark.parametrize("head", [b"", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x09", b"BZ", b"\xfd7zXZ", b"\0" * 8])
def test_almost_is_not_enough(manager, head):
    assert detect(manager, head) is None


@pytest.mark.uses("gzip", "zstd")
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("size", [1, 7, 8, 1000, 10**6])
def test_bytes_are_decompressed_however_they_are_cut(manager, name, size):
    data = FORMS[name](PLAIN)
    pieces = [memoryview(data[start : start + size]) for start in range(0, len(data), size)]
    if len(pieces) > 3000:
        pieces = [*pieces[:20], memoryview(data[20 * size :])]
    assert b"".join(bytes(piece) for piece in decompressed(manager, pieces)) == PLAIN


@pytest.mark.parametrize("data", [b"", b"x", b"short"])
def test_short_bytes_pass(manager, data):
    assert b"".join(bytes(piece) for piece in decompressed(manager, [data])) == data


def test_third_party_algorithm_is_asked(manager):
    manager.register(_Plugin(_Named("lz4", b"\x04\x22\x4d\x18")))
    assert detect(manager, b"\x04\x22\x4d\x18rest") == "lz4"
    assert detect(manager, b"\x1f\x8b\x08rest") == "gzip"


def test_algorithm_that_every_byte_would_fit_fits_none(manager):
    manager.register(_Plugin(_Named("greedy", b"")))
    assert detect(manager, b"anything") is None


def test_broken_algorithm_does_not_stop_what_is_not_its_own(manager):
    manager.register(_Plugin(object()), "broken")
    assert detect(manager, PLAIN[:8]) is None
    assert detect(manager, gzipped(PLAIN)) == "gzip"


def test_algorithm_that_is_known_and_not_installed_is_not_taken_for_uncompressed():
    manager = PluginManager(disabled=["zstd"])
    assert detect(manager, zstd_framed(PLAIN)) == "zstd"
    with pytest.raises(UnknownPluginError, match="zstd"):
        list(decompressed(manager, [zstd_framed(PLAIN)]))


@pytest.mark.parametrize("data", [b"", b"abc", os.urandom(3000)])
def test_sniffing_loses_nothing(tmp_path, data):
    (tmp_path / "file").write_bytes(data)
    with open(tmp_path / "file", "rb", buffering=0) as file:
        for content in (BytesContent(data), StreamContent(io.BytesIO(data)), FileContent(file)):
            head, everything = sniffed(content)
            assert head == data[: len(head)]
            assert len(head) == min(len(data), 64)
            assert b"".join(bytes(piece) for piece in everything) == data
