"""The peer is the real one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import peers
import pytest


@pytest.mark.interop
def test_skopeo_is_the_real_one():
    with Path(peers.SKOPEO).open("rb") as file:
        assert file.read(4) == b"\x7fELF"  # a program of the machine, where ours is a script
    version = subprocess.run([peers.SKOPEO, "--version"], capture_output=True, text=True, check=True)
    assert re.match(r"skopeo version \d+\.\d+", version.stdout)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[1].rglob("*.py")), ids=lambda path: path.name)
def test_no_test_calls_it_by_a_name_on_the_path(path):
    code = path.read_text(encoding="utf-8")
    assert not re.search(r"""(?:\[|run\(|command = \(|^SKOPEO = .)["']skopeo["'],?""", code, re.MULTILINE)
