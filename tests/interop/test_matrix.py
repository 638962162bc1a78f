"""Each cell of the matrix is done as Skopeo does it, or refused where Skopeo refuses it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from matrix import ALL_IMAGES, OTHER, Matrix, rows
from registries import quick_folder

pytestmark = pytest.mark.interop

ROWS = list(rows(ALL_IMAGES))


@pytest.fixture(scope="module")
def matrix():
    folder = Path(tempfile.mkdtemp(prefix="transship-matrix-", dir=quick_folder()))
    with contextlib.closing(Matrix(folder)) as matrix:
        yield matrix
    shutil.rmtree(folder)


@pytest.mark.parametrize("row", ROWS, ids=[str(row[0]).removesuffix(", as is") for row in ROWS])
def test_a_copy_gives_what_skopeo_gives(matrix, row):
    assert [str(verdict) for verdict in matrix.judge(row) if verdict.kind == OTHER] == []
