"""Which plugins are declared, compared with what importlib_metadata says."""

from __future__ import annotations

import importlib.abc
import sys
import zipfile

import importlib_metadata
import pytest

from transship.declarations import declarations

_ENTRY_POINTS = """\
[console_scripts]
transports = somewhere:main

# [transship.commands]
[transship.transports]
acme = acme_plugin
# old = acme_old
spaced   =   acme.plugin : Things.one [extra]

[transship.compressions]
lz4=acme_lz4
"""
_METADATA = "Metadata-Version: 2.1\nName: acme-goods\nVersion: 1.5\n"


def found():
    return {
        (each.kind, each.name, each.value, each.distribution, each.version)
        for each in declarations()
        if each.distribution.startswith("acme")
    }


def expected():
    return {
        (entry.group.removeprefix("transship."), entry.name, entry.value, entry.dist.name, entry.dist.version)
        for entry in importlib_metadata.entry_points()
        if entry.group.startswith("transship.") and entry.dist.name.startswith("acme")
    }


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(folder, name="acme_goods-1.5.dist-info", entry_points=_ENTRY_POINTS, metadata=_METADATA):
    (folder / name).mkdir(parents=True)
    (folder / name / "entry_points.txt").write_text(entry_points)
    if metadata:
        (folder / name / ("PKG-INFO" if name.endswith("egg-info") else "METADATA")).write_text(metadata)


def other_archive(folder):
    """One that holds no plugin, and has importlib_metadata asked."""
    with zipfile.ZipFile(folder / "other.zip", "w") as archive:
        archive.writestr("module.py", "")
    return str(folder / "other.zip")


def test_this_environment_declares_what_importlib_metadata_finds():
    assert {(each.kind, each.name, each.value) for each in declarations()} == {
        (entry.group.removeprefix("transship."), entry.name, entry.value)
        for entry in importlib_metadata.entry_points()
        if entry.group.startswith("transship.")
    }


@pytest.mark.parametrize("name", ["acme_goods-1.5.dist-info", "acme_goods.egg-info", "Acme_Goods-1.5.DIST-INFO"])
def test_groups_of_a_distribution_in_a_folder_are_read(site, name):
    install(site, name)
    assert {kind for kind, *_ in found()} == {"transports", "compressions"}
    if name.islower():  # importlib_metadata knows no other metadata folders
        assert found() == expected()


def test_current_folder_may_be_on_the_path(tmp_path, monkeypatch):
    install(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert len(found()) == 3
    assert found() == expected()


def test_archives_and_eggs_are_found_too(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "acme.zip", "w") as archive:
        archive.writestr("acme_goods-1.5.dist-info/entry_points.txt", _ENTRY_POINTS)
        archive.writestr("acme_goods-1.5.dist-info/METADATA", _METADATA)
    egg = tmp_path / "acme_egg-1.5.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO" / "entry_points.txt").write_text("[transship.transports]\nlaid = acme_egg\n")
    (egg / "EGG-INFO" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: acme-egg\nVersion: 1.5\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "acme.zip"), str(egg)])
    assert {name for _, name, *_ in found()} == {"acme", "spaced", "lz4", "laid"}
    assert found() == expected()


def test_finder_of_another_kind_is_asked(tmp_path, monkeypatch):
    install(tmp_path)

    class Finder(importlib.abc.MetaPathFinder):
        def find_distributions(self, context=None):
            return iter([importlib_metadata.Distribution.at(tmp_path / "acme_goods-1.5.dist-info")])

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert len(found()) == 3


def test_what_is_found_twice_counts_once(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        install(tmp_path / folder)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "a"), *sys.path])
    assert sum(each.name == "acme" for each in declarations()) == 1


@pytest.mark.parametrize("metadata", ["", "nonsense"])
def test_distribution_that_says_nothing_of_itself_is_named_by_its_module(site, metadata):
    install(site, metadata=metadata)
    assert ("transports", "acme", "acme_plugin", "acme_plugin", "") in found()


def test_what_cannot_be_read_is_passed_over(site, monkeypatch):
    (site / "acme_file.egg-info").write_text(_METADATA)
    (site / "acme_binary-1.dist-info").mkdir()
    (site / "acme_binary-1.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[transship.transports]\nx\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site / "none")])
    assert found() == set()


def test_value_may_name_an_attribute(site):
    install(site, entry_points="[transship.commands]\nx = acme_of_a_test\t: Things.one [extra]\n")
    (site / "acme_of_a_test.py").write_text("class Things:\n    one = 'the plugin'\n")
    (declaration,) = [each for each in declarations() if each.value.startswith("acme_of_a_test")]
    assert declaration.load() == "the plugin"


@pytest.mark.parametrize("newer", ["acme_goods-2.0.dist-info", "Acme.Goods-2.0.dist-info", "acme_goods.egg-info"])
@pytest.mark.parametrize("with_archive", [False, True])
def test_first_of_two_versions_on_the_path_hides_the_other(tmp_path, monkeypatch, newer, with_archive):
    install(tmp_path / "old")
    install(tmp_path / "new", newer, "[transship.transports]\nacme = acme2\n", _METADATA.replace("1.5", "2.0"))
    archives = [other_archive(tmp_path)] if with_archive else []
    monkeypatch.setattr(sys, "path", [str(tmp_path / "new"), str(tmp_path / "old"), *archives, *sys.path])
    assert found() == expected() == {("transports", "acme", "acme2", "acme-goods", "2.0")}


@pytest.mark.parametrize("with_archive", [False, True])
@pytest.mark.parametrize("first", ["old", "new"])
def test_remnant_of_a_distribution_neither_hides_it_nor_adds_to_it(tmp_path, monkeypatch, first, with_archive):
    install(tmp_path / "old", "acme_goods-1.0.dist-info", "[transship.transports]\nacme = acme1\n", metadata="")
    install(tmp_path / "new")
    archives = [other_archive(tmp_path)] if with_archive else []
    places = [tmp_path / first, tmp_path / "old", tmp_path / "new"]
    monkeypatch.setattr(sys, "path", [*map(str, places), *archives, *sys.path])
    assert {each.value for each in declarations() if each.name == "acme"} == {"acme_plugin"}


def test_path_may_hold_what_is_no_text(tmp_path, monkeypatch):
    install(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path, None])
    assert len(found()) == 3
