"""Fixtures for pytest, which finds this module by its entry point: everything else is imported when a test asks for it.

``transship_cli`` runs commands, ``transship_plugins`` knows plugins that exist in one test alone, and
``transship_registry`` is a registry in the process of the test. ``-p no:transship`` leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transship.discovery import PluginManager
    from transship.testing.command_line import CommandLine
    from transship.testing.registry import Registry

pytest.register_assert_rewrite("transship.testing.contracts")

_SETTINGS = (
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
)


@pytest.fixture
def transship_plugins() -> PluginManager:
    """What is installed, and what the test adds with ``register``; ``transship_cli`` knows both."""
    from transship.discovery import PluginManager

    return PluginManager()


@pytest.fixture
def transship_cli(
    transship_plugins: PluginManager,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """Runs commands in this process: ``transship_cli("inspect", "oci:layout:v1").code``.

    They run in ``tmp_path``, and see nothing of what the user's own home folder holds.
    """
    from transship.testing.command_line import CommandLine

    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
    return CommandLine(transship_plugins, tmp_path)


@pytest.fixture
def transship_registry() -> Iterator[Registry]:
    """A registry without TLS, at ``transship_registry.host``; what goes wrong in it makes the test fail."""
    from transship.testing.registry import Registry

    with Registry() as registry:
        yield registry
