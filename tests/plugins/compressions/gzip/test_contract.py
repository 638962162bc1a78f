"""gzip keeps the contract, beside Python's own."""

from __future__ import annotations

import gzip

import pytest

from transship.testing import CompressionContract
from transship_gzip.compression import BLOCK_SIZE, Gzip


class TestGzip(CompressionContract):
    content_size = 5 * BLOCK_SIZE // 2

    @pytest.fixture
    def compression(self):
        return Gzip()

    @pytest.fixture
    def compress_elsewhere(self):
        return gzip.compress

    @pytest.fixture
    def decompress_elsewhere(self):
        return gzip.decompress
