"""Writes the project of a new plugin from the files in ``templates``.

They are ``string.Template`` texts: a project differs from its template by a few names, and no part of it is repeated or
left out, which is what a library for templates would be for.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from transship import __version__
from transship.errors import PluginError, TransshipError
from transship.plugin import HOOK_VERSION
from transship.plugin.files import reporting, unused_name

KINDS: Mapping[str, str] = {
    "transport": "transport",
    "compression": "compression",
    "signature": "signature mechanism",
    "command": "command",
    "executor": "executor",
    "extension": "extension",
}
"""The kinds of plugins that there are templates for, one for each entry-point group, and what one is called."""

_FILES = {
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "README.md.in",
    "src/$package/__init__.py": "$kind/plugin.py.in",
    "src/$package/py.typed": "py.typed.in",
    "tests/test_$module.py": "$kind/test_plugin.py.in",
}
_ABOUT = "$kind/about.md.in"

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST_NAME = 32
_MADE_WORD = re.compile(r"\$\{Class\}\w+")
_WORD = re.compile(r"\w+")


def distribution_of(name: str) -> str:
    """The distribution that the plugin ``name`` is in."""
    return f"transship-{name}"


def write_project(kind: str, name: str, folder: str) -> None:
    """Write the project of a plugin ``name`` of one of ``KINDS`` to ``folder``, which must not exist.

    It is complete when it appears. Raises ``PluginError`` for a name that no such plugin can have.
    """
    project = _rendered(kind, name)
    if os.path.lexists(folder):
        raise TransshipError(f"{folder} exists already")
    parent, last = os.path.split(os.path.abspath(folder))
    if not os.path.isdir(parent):
        raise TransshipError(f"write {folder}: there is no folder {parent}")
    with reporting("write", folder):
        staging = unused_name(parent, last)
        os.mkdir(staging)
        try:
            for path, text in project.items():
                target = Path(staging, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            os.rename(staging, folder)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def _rendered(kind: str, name: str) -> dict[str, str]:
    """The texts of a project by their paths in it."""
    names = _names(kind, name)
    names["about"] = _filled(_ABOUT, names).strip()
    return {Template(path).substitute(names): _filled(template, names) for path, template in _FILES.items()}


def _names(kind: str, name: str) -> dict[str, str]:
    """What stands for what in a template."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise PluginError(
            f"{name!r} cannot be the name of a plugin: small letters first, then digits too, single hyphens between "
            f"them, at most {_LONGEST_NAME} in all"
        )
    if name == "core":
        raise PluginError(f"{distribution_of(name)} is transship itself: choose another name than {name!r}")
    parts = name.split("-")
    camel = "".join(part.capitalize() for part in parts)
    return {
        "kind": kind,
        "group": f"{kind}s",
        "what": KINDS[kind],
        "name": name,
        "distribution": distribution_of(name),
        "package": "_".join(["transship", *parts]),
        "module": "_".join(parts),
        "Class": camel,
        "requirement": f"{camel[0].lower()}{camel[1:]}Signed",
        "variable": "_".join(["transship", *parts, "log"]).upper(),
        "version": __version__,
        "hook_version": str(HOOK_VERSION),
    }


def _filled(path: str, names: Mapping[str, str]) -> str:
    template = resources.files(__package__).joinpath("templates", Template(path).substitute(names))
    text = template.read_text(encoding="utf-8")
    clash = {Template(word).substitute(names) for word in _MADE_WORD.findall(text)} & set(_WORD.findall(text))
    if clash:
        raise PluginError(
            f"{names['name']!r} cannot be the name of this plugin: its code needs the word {min(clash)} for "
            "something else"
        )
    return Template(text).substitute(names)
