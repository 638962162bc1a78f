"""The core and one plugin, installed alone, are a working program."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import Environment

from transship.testing.images import oci_image
from transship.testing.writers import write_oci_layout

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.uses("oci")


def test_core_and_one_transport_alone_copy_an_image(tmp_path):
    environment = Environment(tmp_path)
    environment.install(ROOT / "core", ROOT / "plugins" / "transports" / "oci")
    environment.link_needs("transship-core")
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    environment.run("transship", "copy", "--insecure-policy", "oci:layout:v1", "oci:target:new", cwd=tmp_path)
    assert environment.run("transship", "inspect", "--raw", "oci:target:new", cwd=tmp_path).stdout.encode() == (
        oci_image().manifest
    )
    missing = environment.run("transship", "inspect", "dir:x", cwd=tmp_path, check=False)
    assert missing.returncode == 1
    assert 'unknown transport "dir"; installed are oci' in missing.stderr.replace('\\"', '"')
