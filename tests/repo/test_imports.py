"""What a run imports, and what it does not: that is how fast it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from transship.testing.images import oci_image
from transship.testing.writers import write_oci_layout

_CODE = """
import sys
sys.argv = ["transship", *sys.argv[1:]]
from transship.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("MODULES", *sorted(sys.modules))
"""


def _modules(*args: str) -> set[str]:
    result = subprocess.run([sys.executable, "-c", _CODE, *args], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("MODULES ")]
    return set(line.split()[1:])


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")


def test_version_imports_hardly_anything():
    modules = _modules("--version")
    assert not modules & {"click", "importlib_metadata", "transship.discovery", "transship.cli.application", "json"}


def test_copy_imports_only_what_it_needs(layout):
    modules = _modules("copy", "--insecure-policy", "oci:layout:v1", "dir:target")
    assert {"transship_oci", "transship_dir"} <= modules
    forbidden = {"httpx", "cryptography", "tqdm", "asyncio", "yaml", "zstandard", "isal", "ssl", "email.message"}
    assert not modules & forbidden
    assert not {name for name in modules if name.startswith(("transship_docker", "transship_zstd", "transship_gzip"))}
    assert not {name for name in modules if name.startswith(("transship.testing", "transship.cli.gotemplate"))}


def test_command_imports_no_other_command(layout):
    modules = _modules("inspect", "oci:layout:v1")
    assert "transship.cli.inspect" in modules
    assert not modules & {"transship.cli.copy", "transship.cli.plugins", "transship.cli.layers", "tqdm"}


def test_package_itself_brings_neither_engine_nor_command_line():
    code = "import sys, transship; print(*[name for name in sys.modules if name.startswith('transship.')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
