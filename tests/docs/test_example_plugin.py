"""The transport of the tutorial loads as an installed plugin does, and stays short; a page runs its own tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from transship.discovery import PluginManager
from transship.errors import TransportError
from transship.plugin.context import Context

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "transship-example"
MODULE = EXAMPLE / "src" / "transship_example" / "__init__.py"


def load_example():
    spec = importlib.util.spec_from_file_location("transship_example", MODULE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLE_MODULE = load_example()


def test_it_is_found_by_its_name():
    manager = PluginManager()
    manager.register(EXAMPLE_MODULE)
    transport, reference = manager.parse_reference("text:image.txt")
    assert isinstance(transport, EXAMPLE_MODULE.TextTransport)
    assert str(reference) == "text:image.txt"


@pytest.mark.parametrize(
    "content",
    [
        b"manifest",
        b"manifest e30= e30=\n",
        b"manifest not-base-64!\n",
        b"\n",
        b"\xff\xfe\0",
    ],
)
def test_a_bad_file_is_refused(content, tmp_path):
    path = tmp_path / "image.txt"
    path.write_bytes(content)
    transport = EXAMPLE_MODULE.TextTransport()
    with pytest.raises(TransportError):
        transport.open_source(transport.parse_reference(str(path)), Context())


def test_it_has_at_most_80_lines():
    assert len(MODULE.read_text(encoding="utf-8").splitlines()) <= 80
