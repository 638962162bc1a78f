from __future__ import annotations

from pathlib import Path

import pytest
import transship_example

from transship.discovery import PluginManager
from transship.testing.command_line import CommandLine
from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import write_oci_layout


@pytest.fixture(autouse=True)
def _plugin(transship_plugins: PluginManager) -> None:
    transship_plugins.register(transship_example)


def test_image_becomes_one_file(transship_cli: CommandLine, tmp_path: Path) -> None:
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    copied = transship_cli("--insecure-policy", "copy", "oci:layout:v1", "text:image.txt")
    assert copied.code == 0, copied.err
    assert copied.files == ("image.txt",)
    assert transship_cli("inspect", "--raw", "text:image.txt").data == oci_image().manifest


def test_image_comes_from_a_registry(transship_cli: CommandLine, transship_registry: Registry) -> None:
    transship_registry.put_image("team/app", "1.0", oci_image())
    source = f"docker://{transship_registry.host}/team/app:1.0"
    copied = transship_cli("--insecure-policy", "copy", "--src-tls-verify=false", source, "text:image.txt")
    assert copied.code == 0, copied.err
    assert transship_registry.requests[-1].method == "GET"


def test_file_that_is_no_image_is_an_error_in_one_line(transship_cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_text("no image\n")
    outcome = transship_cli("inspect", "text:image.txt")
    assert (outcome.code, outcome.out) == (1, "")
    assert "image.txt" in outcome.fatal
