"""Without any one plugin the program and all other plugins work, but for what that plugin itself does."""

from __future__ import annotations

import json
import tomllib
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from environments import Environment

from transship.testing.images import oci_image

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))
PLUGINS = [folder for folder in FOLDERS if folder.parent.name != "programs"]  # those are names of ours, without code
EXERCISE = Path(__file__).with_name("exercise_plugins.py")
NEEDED_BY = {"oci": {"oci-archive"}}  # the one plugin that is made of another


class Installation:
    """All plugins of this repository in one environment, any of which can be taken away for a while."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = Environment(folder)
        self._environment.install(ROOT / "core", *PLUGINS)
        for name in ("core", *(plugin.name for plugin in PLUGINS)):
            self._environment.link_needs(f"transship-{name}")

    def transship(self, *arguments: str) -> str:
        done = self._environment.run("transship", *arguments, cwd=self.folder)
        assert done.stderr == ""
        return done.stdout

    def refusal(self, *arguments: str) -> str:
        done = self._environment.run("transship", *arguments, cwd=self.folder, check=False)
        assert done.returncode == 1
        return done.stderr

    def exercise(self, folder: Path) -> dict:
        return json.loads(self._environment.run_python(EXERCISE, cwd=folder).stdout)

    def without(self, plugin: Path) -> AbstractContextManager[None]:
        return self._environment.without(plugin.name)


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    return Installation(tmp_path_factory.mktemp("installation"))


def declared(plugins: list[Path]) -> set[tuple[str, str]]:
    """The kinds and names of what is in these distributions."""
    documents = [tomllib.loads((plugin / "pyproject.toml").read_text(encoding="utf-8")) for plugin in plugins]
    groups = [document["project"].get("entry-points", {}) for document in documents]
    named = {(group, name) for each in groups for group in each for name in each[group]}
    return {(group.removeprefix("transship."), name) for group, name in named if group.startswith("transship.")}


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_the_rest_works_without_it(installation, plugin, tmp_path):
    with installation.without(plugin):
        listed = {(entry["kind"], entry["name"]) for entry in json.loads(installation.transship("plugins", "--json"))}
        own, others = declared([plugin]), declared([other for other in PLUGINS if other != plugin])
        assert others | declared([ROOT / "core"]) == listed
        help_text = installation.transship("--help")
        for kind, name in own | others:
            assert kind != "commands" or name.startswith("untrusted") or (name in help_text) == ((kind, name) in listed)
        for kind, name in own:
            if kind != "commands":
                assert f"install transship-{plugin.name}" in installation.refusal("plugins", "show", kind, name)
        result = installation.exercise(tmp_path)
    assert set(result["broken"]) == NEEDED_BY.get(plugin.name, set())
    there = {other.name for other in PLUGINS if other != plugin} - set(result["broken"])
    places = {"dir", "docker", "oci", "oci-archive"} & there
    assert result["digests"] == dict.fromkeys(places, str(oci_image().digest))
