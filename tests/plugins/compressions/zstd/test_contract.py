"""zstd keeps the contract, beside the program of that name."""

from __future__ import annotations

import subprocess

import pytest

from transship.testing import CompressionContract
from transship_zstd.compression import Zstd


def zstd(*options):
    return lambda data: subprocess.run(["zstd", "-q", *options], input=data, capture_output=True, check=True).stdout


@pytest.mark.interop
class TestZstd(CompressionContract):
    content_size = 18 << 20  # two jobs of the best level, and a part of one

    @pytest.fixture
    def compression(self):
        return Zstd()

    @pytest.fixture
    def compress_elsewhere(self):
        return zstd()

    @pytest.fixture
    def decompress_elsewhere(self):
        return zstd("-d")
