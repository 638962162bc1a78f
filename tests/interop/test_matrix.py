"""Each cell of the matrix is done as Skopeo does it, or refused where Skopeo refuses it."""

from __future__ import annotations

import itertools

import pytest
from matrix import IMAGES, MORE_IMAGES, OPTIONS, OTHER, TRANSPORTS, Cell, Matrix

pytestmark = pytest.mark.interop

ROWS = list(itertools.product(TRANSPORTS, TRANSPORTS, [*IMAGES, *MORE_IMAGES]))


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    return Matrix(tmp_path_factory.mktemp("matrix"))


@pytest.mark.parametrize(("source", "destination", "image"), ROWS, ids=[", ".join(row) for row in ROWS])
def test_a_copy_gives_what_skopeo_gives(matrix, source, destination, image):
    verdicts = [matrix.judge(Cell(source, destination, image, options)) for options in OPTIONS]
    assert [str(verdict) for verdict in verdicts if verdict.kind == OTHER] == []
