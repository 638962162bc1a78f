"""What ties the distributions of this repository together."""

from __future__ import annotations

import importlib
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import transship

ROOT = Path(__file__).parents[2]
MEMBERS = sorted([ROOT / "core", *(path.parent for path in ROOT.glob("plugins/*/*/pyproject.toml"))])
PROGRAMS = [member for member in MEMBERS if member.parent.name == "programs"]
PLUGINS = [member for member in MEMBERS if member.name != "core" and member not in PROGRAMS]
PACKAGED = [member for member in MEMBERS if member not in PROGRAMS]
SOURCES = sorted(path for member in MEMBERS for path in member.glob("src/**/*.py"))


def _document(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[~>=]", text)[0] for text in requirements}


ROOT_DOCUMENT = _document(ROOT)
ON_REQUEST = {name for extra in ROOT_DOCUMENT["project"]["optional-dependencies"].values() for name in _names(extra)}


def _packages(members: list[Path]) -> list[str]:
    return [_document(member)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"][0] for member in members]


def test_there_are_members():
    assert len(PLUGINS) >= 6
    assert len(SOURCES) > 50


@pytest.mark.parametrize("member", [ROOT, *MEMBERS], ids=lambda member: member.name)
def test_versions_agree(member):
    assert _document(member)["project"]["version"] == transship.__version__


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_what_is_installed_is_this_version(member):
    assert version(_document(member)["project"]["name"]) == transship.__version__


@pytest.mark.parametrize("member", PLUGINS, ids=lambda member: member.name)
def test_plugin_is_named_after_its_folder(member):
    document = _document(member)
    assert document["project"]["name"] == f"transship-{member.name}"
    assert _packages([member]) == [f"src/transship_{member.name.replace('-', '_')}"]
    group = f"transship.{member.parent.name}"
    assert member.name in document["project"]["entry-points"][group]


@pytest.mark.parametrize("member", PACKAGED, ids=lambda member: member.name)
def test_every_entry_point_leads_to_a_module_with_hooks(member):
    groups = _document(member)["project"]["entry-points"]
    for group in groups:
        for module in groups[group].values() if group.startswith("transship.") else ():
            loaded = importlib.import_module(module)
            assert any(hasattr(value, "transship_impl") for value in vars(loaded).values())


@pytest.mark.parametrize("member", PACKAGED, ids=lambda member: member.name)
def test_types_and_readme_are_shipped(member):
    (package,) = _packages([member])
    assert (member / package / "py.typed").exists()
    assert (member / "README.md").exists()


@pytest.mark.parametrize("member", PROGRAMS, ids=lambda member: member.name)
def test_program_is_another_name_of_ours_and_holds_no_code(member):
    document = _document(member)
    ours = _document(ROOT / "core")["project"]["scripts"]["transship"]
    assert document["project"]["name"] == f"transship-{member.name}"
    assert document["project"]["scripts"] == {member.name: ours}
    assert {path.name for path in member.iterdir()} == {"pyproject.toml", "README.md"}


@pytest.mark.parametrize("member", [*PLUGINS, *PROGRAMS], ids=lambda member: member.name)
def test_plugin_depends_on_this_core(member):
    dependencies = _document(member)["project"]["dependencies"]
    assert f"transship-core~={transship.__version__}" in dependencies


def test_meta_distribution_installs_every_plugin_or_does_so_on_request():
    installed = _names(ROOT_DOCUMENT["project"]["dependencies"])
    assert installed | ON_REQUEST >= {_document(member)["project"]["name"] for member in MEMBERS}
    assert not installed & ON_REQUEST


def test_core_is_light():
    assert _names(_document(ROOT / "core")["project"]["dependencies"]) == {"pluggy", "click", "importlib-metadata"}


def test_requirements_list_every_member_that_is_installed_unasked():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    members = [member for member in MEMBERS if _document(member)["project"]["name"] not in ON_REQUEST]
    assert listed == {".", *(f"./{member.relative_to(ROOT)}" for member in members)}


def test_tests_run_with_every_member():
    lines = (ROOT / "tox.ini").read_text(encoding="utf-8").splitlines()
    assert {line.strip() for line in lines} >= {f"-e ./{member.relative_to(ROOT)}" for member in MEMBERS}


def test_type_checker_knows_every_member():
    assert set(ROOT_DOCUMENT["tool"]["mypy"]["mypy_path"]) >= {f"{member.relative_to(ROOT)}/src" for member in PACKAGED}


def test_import_contracts_name_every_plugin():
    packages = {package.removeprefix("src/") for package in _packages(PLUGINS)}
    tool = ROOT_DOCUMENT["tool"]["importlinter"]
    assert set(tool["root_packages"]) == {"transship", *packages}
    contracts = {contract["name"]: contract for contract in tool["contracts"]}
    assert packages <= set(contracts["the core stays light"]["forbidden_modules"])
    assert packages == set(contracts["plugins have one door"]["source_modules"])
    assert packages == set(contracts["plugins do not know each other"]["modules"])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_names_no_place_of_this_machine(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(?:work|opt|home|root|Users)/", text)
    assert str(ROOT) not in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_says_what_it_is(path):
    first = path.read_text(encoding="utf-8").lstrip()
    assert first.startswith('"""')
