"""What tests of plugins are given by the pytest plugin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from transship import hookimpl
from transship.errors import NotFoundError, UnknownTransportError
from transship.plugin.transport import Reference, Transport
from transship.testing.images import oci_image
from transship.testing.writers import write_oci_layout


class Nowhere(Transport):
    name = "nowhere"

    def parse_reference(self, text):
        return Reference(transport="nowhere", text=text)

    def open_source(self, reference, context):
        raise NotFoundError(f'nothing is "{reference.text}"\tanywhere')


class NowherePlugin:
    @hookimpl
    def transship_transports(self):
        return [Nowhere()]


@pytest.fixture
def layout(tmp_path):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    return "oci:layout:v1"


@pytest.mark.uses("dir", "oci")
def test_command_gives_its_code_its_streams_and_the_files_that_it_made(transship_cli, layout, tmp_path):
    outcome = transship_cli("--insecure-policy", "copy", layout, f"dir:{tmp_path / 'out'}")
    assert (outcome.code, outcome.err, outcome.fatal) == (0, "", "")
    assert outcome.lines[0].startswith("Getting image source signatures")
    assert {"out/manifest.json", "out/version"} < set(outcome.files)
    assert all(name.startswith("out/") for name in outcome.files)
    assert transship_cli("inspect", "--raw", "dir:out").data == oci_image().manifest


@pytest.mark.uses("oci")
def test_file_that_a_command_changed_is_one_that_it_made(transship_cli, layout):
    assert transship_cli("inspect", layout).files == ()
    files = transship_cli("--insecure-policy", "copy", layout, "oci:layout:v2").files
    assert "layout/index.json" in files
    assert "layout/oci-layout" not in files


def test_failure_is_told_as_users_see_it(transship_cli, transship_plugins):
    transship_plugins.register(NowherePlugin())
    outcome = transship_cli("inspect", "nowhere:at all")
    assert (outcome.code, outcome.out, outcome.files) == (2, "", ())
    assert outcome.fatal.endswith('nothing is "at all"\tanywhere')
    assert outcome.fatal not in outcome.err  # where it stands in quotes


def test_plugin_of_one_test_is_not_there_in_another(transship_cli, transship_plugins):
    assert transship_cli("inspect", "nowhere:x").code == 1
    with pytest.raises(UnknownTransportError):
        transship_plugins.transport("nowhere")


@pytest.mark.uses("oci")
def test_plugins_that_were_loaded_by_name_are_not_in_the_way(transship_cli, transship_plugins, layout):
    transship_plugins.transport("oci")
    transship_plugins.register(NowherePlugin(), "mine")
    assert [name for name, _ in transship_plugins.registered()] == ["mine"]
    assert transship_cli("inspect", layout).code == 0


@pytest.mark.uses("docker")
def test_command_reads_what_it_is_given(transship_cli, transship_registry):
    host = transship_registry.host
    login = ("login", "--tls-verify=false", "--username", "ann", "--password-stdin", host)
    assert transship_cli(*login, stdin="open sesame\n").code == 0
    assert transship_registry.requests


@pytest.mark.uses("docker", "oci")
def test_registry_is_one_that_commands_can_use(transship_cli, transship_registry, layout):
    place = f"docker://{transship_registry.host}/team/app:1.0"
    assert transship_cli("--insecure-policy", "copy", "--dest-tls-verify=false", layout, place).code == 0
    assert transship_registry.tags["team/app"]["1.0"] == oci_image().digest


@pytest.mark.uses("dir")
def test_settings_of_the_user_are_not_seen(monkeypatch, tmp_path, request):
    settings = tmp_path / ".config" / "containers"
    settings.mkdir(parents=True)
    (settings / "policy.json").write_text("not even JSON")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    copy = ("copy", "dir:a", "dir:b")
    program = subprocess.run([sys.executable, "-m", "transship", *copy], capture_output=True, text=True, check=False)
    assert str(settings) in program.stderr
    assert str(settings) not in request.getfixturevalue("transship_cli")(*copy).err


def test_streams_folder_and_signals_are_what_they_were_before(transship_cli, tmp_path):
    def state():
        return sys.stdin, sys.stdout, sys.stderr, signal.getsignal(signal.SIGINT), os.getcwd()

    before = state()
    transship_cli("--version")
    assert state() == before


def run_pytest(folder, test, *options):
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_without_the_plugin_everything_else_works(tmp_path):
    test = "def test_it(): pass\ndef test_other(transship_cli): pass"
    result = run_pytest(tmp_path, test, "-p", "no:transship")
    assert "fixture 'transship_cli' not found" in result.stdout
    assert "1 passed, 1 error" in result.stdout


def test_contract_that_is_not_kept_shows_both_sides(tmp_path):
    test = """
from transship.testing import CompressionContract
from transship.builtin.xz import Xz
import pytest

class Wrong(Xz):
    def describe(self):
        return {"a word": ""}

class TestWrong(CompressionContract):
    @pytest.fixture
    def compression(self):
        return Wrong()
"""
    result = run_pytest(tmp_path, test, "-k", "well_formed")
    assert "1 failed" in result.stdout
    assert "where False = all(" in result.stdout


def test_loading_the_plugin_loads_nothing_else():
    code = """
import sys, pluggy, pytest
before = set(sys.modules)
import transship.testing.fixtures
print(*sorted(set(sys.modules) - before))
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["transship", "transship.testing", "transship.testing.fixtures"]
