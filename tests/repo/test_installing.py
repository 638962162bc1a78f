"""The core and one plugin, installed alone, are a working program."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from transship.testing.images import oci_image
from transship.testing.writers import write_oci_layout

ROOT = Path(__file__).parents[2]


def test_core_and_one_transport_alone_copy_an_image(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "venv"], cwd=tmp_path, check=True)
    python = tmp_path / "venv/bin/python"
    site = next((tmp_path / "venv/lib").glob("python*/site-packages"))
    for member in ("core", "plugins/transports/oci"):
        source = tmp_path / "source" / member
        shutil.copytree(ROOT / member, source, ignore=shutil.ignore_patterns("__pycache__", "build", "dist"))
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*pip, "--target", str(site), str(source)], check=True, cwd=tmp_path)
    for name in sorted(_dependencies_of("transship-core")):
        _link_installed(name, site)
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    program = [str(python), "-m", "transship"]
    subprocess.run([*program, "copy", "--insecure-policy", "oci:layout:v1", "oci:target:new"], check=True, cwd=tmp_path)
    raw = subprocess.run(
        [*program, "inspect", "--raw", "oci:target:new"], check=True, cwd=tmp_path, capture_output=True
    )
    assert raw.stdout == oci_image().manifest
    missing = subprocess.run([*program, "inspect", "dir:x"], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert missing.returncode == 1
    assert 'unknown transport "dir"; installed are oci' in missing.stderr.replace('\\"', '"')


def _dependencies_of(name: str) -> set[str]:
    """The names of all distributions that one needs here, directly or not."""
    found: set[str] = set()
    for requirement in metadata.requires(name) or ():
        text, _, marker = requirement.partition(";")
        needed = re.split(r"[^A-Za-z0-9._-]", text.strip())[0]
        if "extra ==" not in marker and needed not in found and _is_installed(needed):
            found |= {needed} | _dependencies_of(needed)
    return found


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:  # for another platform or version of Python
        return False
    return True


def _link_installed(name: str, site: Path) -> None:
    """Let a dependency that this interpreter has be found in the new environment too."""
    distribution = metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(distribution.locate_file(top))))
