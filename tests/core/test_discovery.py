"""Finding plugins: by name, one at a time, with a culprit for whatever is wrong."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from pluggy import HookspecMarker

from transship import hookimpl
from transship.discovery import PluginManager
from transship.errors import (
    DuplicatePluginError,
    InvalidReferenceError,
    PluginError,
    PluginLoadError,
    UnknownPluginError,
    UnknownTransportError,
)
from transship.plugin import HOOK_VERSION, hookspecs
from transship.plugin.compression import Compression
from transship.plugin.transport import Reference, Transport

_numbers = itertools.count()

_TRANSPORT = """
from transship import hookimpl
from transship.plugin.transport import Reference, Transport

class Memory(Transport):
    def __init__(self, name):
        self.name = name
    def parse_reference(self, text):
        return Reference(transport=self.name, text=text)

@hookimpl
def transship_transports():
    return [Memory(name) for name in {names!r}]
"""


class Site:
    """A folder on ``sys.path`` with distributions that this test has made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, distribution: str, source: str, *names: str, kind: str = "transports", module: str = "") -> str:
        """A distribution whose module ``source`` is the plugin for ``names``; the answer is the module's name."""
        module = module or f"plugin_of_a_test_{next(_numbers)}"
        (self.folder / f"{module}.py").write_text(source)
        info = self.folder / f"{distribution.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = "".join(f"{name} = {module}\n" for name in names)
        (info / "entry_points.txt").write_text(f"[transship.{kind}]\n{lines}")
        return module

    def add_transport(self, distribution: str, *names: str, offers: tuple[str, ...] | None = None) -> str:
        return self.add(distribution, _TRANSPORT.format(names=names if offers is None else offers), *names)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return Site(tmp_path)


class MemoryTransport(Transport):
    def __init__(self, name: str = "memory") -> None:
        self.name = name

    def parse_reference(self, text: str) -> Reference:
        if not text:
            raise InvalidReferenceError("nothing is named")
        return Reference(transport=self.name, text=text)


class Offering:
    """A plugin that is an object."""

    def __init__(self, *transports: object) -> None:
        self._transports = transports

    @hookimpl
    def transship_transports(self):
        return list(self._transports)


def test_plugin_of_a_third_party_is_found_by_its_entry_point(site):
    module = site.add_transport("transship-acme", "acme")
    manager = PluginManager()
    assert "acme" in manager.names("transports")
    assert module not in sys.modules
    transport, reference = manager.parse_reference("acme:some:thing")
    assert (transport.name, reference.text) == ("acme", "some:thing")


def test_unknown_transport_tells_what_is_installed(site):
    site.add_transport("transship-acme", "acme")
    with pytest.raises(UnknownTransportError, match="acme") as caught:
        PluginManager().transport("nowhere")
    assert (caught.value.kind, caught.value.name) == ("transports", "nowhere")


def test_text_without_a_colon_is_no_reference():
    with pytest.raises(InvalidReferenceError, match="expected colon-separated transport:reference"):
        PluginManager().parse_reference("image")


@pytest.mark.parametrize("name", ["containers-storage", "docker-daemon", "sif", "tarball", "atomic", "ostree"])
def test_transports_that_do_not_exist_here_are_refused_by_name(name):
    with pytest.raises(UnknownTransportError, match=f'"{name}:" is not supported'):
        PluginManager().parse_reference(f"{name}:image")


@pytest.mark.uses("oci")
@pytest.mark.parametrize("source", ["import a_module_that_is_nowhere", "1/0", "def f(:"])
def test_broken_plugin_is_named_with_its_distribution(site, source):
    site.add("transship-broken", source, "broken")
    manager = PluginManager()
    for _ in range(2):
        with pytest.raises(PluginLoadError, match="transship-broken") as caught:
            manager.transport("broken")
        assert caught.value.distribution == "transship-broken"
    assert manager.transport("oci").name == "oci"


@pytest.mark.uses("oci")
def test_hook_that_raises_is_named_each_time_and_stops_nobody_else(site):
    source = (
        "from transship import hookimpl\n@hookimpl\ndef transship_transports():\n    raise RuntimeError('no luck')\n"
    )
    site.add("transship-unlucky", source, "unlucky")
    manager = PluginManager()
    for _ in range(2):
        with pytest.raises(PluginLoadError, match=r"transship-unlucky.*no luck"):
            manager.transport("unlucky")
        assert manager.transport("oci").name == "oci"


@pytest.mark.uses("oci")
def test_broken_plugin_in_the_process_stops_only_what_nobody_else_offers():
    class Broken:
        @hookimpl
        def transship_transports(self):
            raise RuntimeError("no luck")

    manager = PluginManager()
    manager.register(Broken(), "broken one")
    assert manager.transport("oci").name == "oci"
    assert "oci" in manager.names("transports")
    with pytest.raises(PluginLoadError, match="broken one"):
        manager.transport("memory")


@pytest.mark.uses("oci")
def test_name_that_two_distributions_declare_names_both(site):
    site.add_transport("transship-one", "twice")
    site.add_transport("transship-two", "twice")
    manager = PluginManager()
    with pytest.raises(DuplicatePluginError, match=r"transship-one.*transship-two"):
        manager.transport("twice")
    assert manager.transport("oci").name == "oci"


def test_name_that_two_plugins_in_the_process_offer_names_both_each_time():
    manager = PluginManager()
    manager.register(Offering(MemoryTransport()), "first")
    manager.register(Offering(MemoryTransport()), "second")
    for _ in range(2):
        with pytest.raises(DuplicatePluginError, match=r"first.*second"):
            manager.transport("memory")


@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        ("transports", PluginManager.transport),
        ("compressions", PluginManager.compression),
        ("signatures", PluginManager.signature_mechanism),
        ("signatures", lambda manager, name: manager.mechanism_for("any requirement")),
        ("commands", PluginManager.command),
        ("executors", PluginManager.executor),
        ("extensions", lambda manager, name: [_raise(error) for error in manager.load_extensions()]),
    ],
)
@pytest.mark.parametrize("version", [HOOK_VERSION + 1, HOOK_VERSION - 1, str(HOOK_VERSION)])
def test_plugin_for_other_hooks_is_refused_by_name_in_every_kind(site, kind, ask, version):
    site.add("transship-future", f"transship_hook_version = {version!r}", "future", kind=kind)
    with pytest.raises(PluginLoadError, match=rf"transship-future.*version {version} of the hooks") as caught:
        ask(PluginManager(), "future")
    assert caught.value.distribution == "transship-future"


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.uses("oci")
def test_plugin_for_other_hooks_stops_nobody_else(site):
    site.add("transship-future", f"transship_hook_version = {HOOK_VERSION + 1}", "future")
    manager = PluginManager()
    with pytest.raises(PluginLoadError):
        manager.transport("future")
    assert manager.transport("oci").name == "oci"


def test_plugin_in_the_process_for_other_hooks_is_refused_when_it_is_registered():
    class Future(Offering):
        transship_hook_version = HOOK_VERSION + 1

    manager = PluginManager()
    with pytest.raises(PluginError, match=f"Future.*version {HOOK_VERSION + 1} of the hooks"):
        manager.register(Future(MemoryTransport()))
    assert "memory" not in manager.names("transports")


def test_plugin_may_name_the_version_of_the_hooks(site):
    site.add("transship-now", f"transship_hook_version = {HOOK_VERSION}\n" + _TRANSPORT.format(names=["now"]), "now")
    assert PluginManager().transport("now").name == "now"


_HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("transship_"))


@pytest.mark.parametrize("name", _HOOKS)
def test_hook_may_grow_an_argument_without_breaking_the_plugins_that_are_there(monkeypatch, name):
    """Every implementation takes the arguments it was written for, whatever the hook has gained since."""
    today = inspect.signature(getattr(hookspecs, name)).parameters
    grown, plugins = {}, []
    exec(f"def {name}({', '.join([*today, 'added_later'])}): ...", grown)  # noqa: S102 - signatures made from names
    specification = HookspecMarker("transship")(grown[name])
    monkeypatch.setattr("transship.discovery.hookspecs", SimpleNamespace(**{name: specification}))
    manager, heard = PluginManager(), []
    for taken in (list(today), []):
        plugin = {"heard": heard}
        exec(f"def {name}({', '.join(taken)}): heard.append(dict({', '.join(f'{n}={n}' for n in taken)}))", plugin)  # noqa: S102
        plugins.append(SimpleNamespace(**{name: hookimpl(plugin[name])}))
        manager.register(plugins[-1])
    getattr(manager.hook, name)(**dict.fromkeys(today, "a value"), added_later="something new")
    assert heard == [{}, dict.fromkeys(today, "a value")]


def test_plugin_that_wants_an_argument_which_its_hook_lacks_is_named_and_refused(site):
    source = "from transship import hookimpl\n@hookimpl\ndef transship_event(event, added_later): pass\n"
    site.add("transship-eager", source, "eager", kind="extensions")
    (error,) = PluginManager().load_extensions()
    assert error.distribution == "transship-eager"
    assert "added_later" in str(error)


@pytest.mark.uses("oci")
def test_misspelt_hook_is_refused(site):
    site.add("transship-typo", "from transship import hookimpl\n@hookimpl\ndef transship_transport(): pass\n", "typo")
    manager = PluginManager()
    with pytest.raises(PluginLoadError, match=r"transship-typo.*transship_transport"):
        manager.transport("typo")
    assert manager.transport("oci").name == "oci"


@pytest.mark.uses("oci")
def test_misspelt_hook_of_a_plugin_in_the_process_is_refused_when_it_is_registered():
    class Typo:
        @hookimpl
        def transship_transport(self):
            return []

    manager = PluginManager()
    with pytest.raises(PluginError, match="transship_transport"):
        manager.register(Typo(), "typo")
    assert manager.transport("oci").name == "oci"


def test_hook_with_an_unknown_argument_is_refused():
    class Curious:
        @hookimpl
        def transship_event(self, event, weather):
            return None

    with pytest.raises(PluginError, match="weather"):
        PluginManager().register(Curious(), "curious")


def test_plugin_that_offers_nothing_of_its_name_is_refused(site):
    site.add_transport("transship-shy", "shy", offers=("bold",))
    with pytest.raises(PluginLoadError, match="transship-shy"):
        PluginManager().transport("shy")


@pytest.mark.parametrize("offer", ["'text'", "object()", "None"])
def test_plugin_that_offers_something_without_a_name_is_refused(site, offer):
    source = f"from transship import hookimpl\n@hookimpl\ndef transship_transports():\n    return [{offer}]\n"
    site.add("transship-odd", source, "odd")
    with pytest.raises(PluginLoadError, match="transship-odd"):
        PluginManager().transport("odd")


def test_plugin_that_offers_something_else_is_refused():
    manager = PluginManager()
    manager.register(Offering(click.Command("memory")), "confused one")
    with pytest.raises(PluginError, match="confused one"):
        manager.transport("memory")


def test_two_names_may_lead_to_one_module(site):
    site.add_transport("transship-pair", "left", "right")
    manager = PluginManager()
    assert manager.transport("left").name == "left"
    assert manager.transport("right").name == "right"


@pytest.mark.uses("oci")
def test_entry_point_does_not_take_the_name_of_another(site):
    site.add_transport("transship-greedy", "greedy", offers=("greedy", "oci"))
    manager = PluginManager()
    manager.transport("greedy")
    assert type(manager.transport("oci")).__module__ == "transship_oci.transport"


@pytest.mark.uses("gzip")
def test_same_name_may_be_of_two_kinds():
    class Gzip(MemoryTransport):
        pass

    manager = PluginManager()
    manager.register(Offering(Gzip("gzip")))
    assert manager.transport("gzip").name == "gzip"
    assert manager.compression("gzip").name == "gzip"


def test_plugin_is_registered_in_the_process():
    manager = PluginManager()
    manager.register(Offering(MemoryTransport()))
    assert "memory" in manager.names("transports")
    assert manager.parse_reference("memory:x")[1].text == "x"
    assert "memory" not in PluginManager().names("transports")


def test_plugin_registered_later_is_found_too():
    manager = PluginManager()
    with pytest.raises(UnknownTransportError):
        manager.transport("memory")
    manager.register(Offering(MemoryTransport()))
    assert manager.transport("memory").name == "memory"


def test_bad_rest_of_a_reference_is_told_in_the_words_of_its_transport():
    manager = PluginManager()
    manager.register(Offering(MemoryTransport()))
    with pytest.raises(InvalidReferenceError, match=r"^nothing is named$"):
        manager.parse_reference("memory:")


@pytest.mark.parametrize("disabled", ["memory", "transports:memory"])
def test_disabled_plugin_is_not_there(disabled):
    manager = PluginManager(disabled=[disabled])
    manager.register(Offering(MemoryTransport(), MemoryTransport("other")))
    assert "memory" not in manager.names("transports")
    with pytest.raises(UnknownTransportError, match="disabled"):
        manager.transport("memory")
    assert manager.transport("other").name == "other"


@pytest.mark.uses("gzip")
def test_disabled_kind_and_name_leaves_other_kinds():
    manager = PluginManager(disabled=["transports:gzip"])
    assert manager.compression("gzip").name == "gzip"


def test_disabled_plugin_is_not_listed_and_not_loaded(site):
    module = site.add_transport("transship-acme", "acme")
    manager = PluginManager(disabled=["acme"])
    assert "acme" not in [entry.name for entry in manager.entries()]
    with pytest.raises(UnknownPluginError):
        manager.transport("acme")
    assert module not in sys.modules


def test_entries_tell_distribution_and_version_and_what_is_loaded(site):
    module = site.add_transport("transship-acme", "acme")
    manager = PluginManager()
    before = next(entry for entry in manager.entries() if entry.name == "acme")
    assert (before.kind, before.distribution, before.version, before.module) == (
        "transports",
        "transship-acme",
        "1.5",
        module,
    )
    assert not before.loaded
    manager.transport("acme")
    assert next(entry for entry in manager.entries() if entry.name == "acme").loaded


def test_extensions_are_loaded_together_and_the_broken_are_named(site):
    site.add("transship-fails", "1/0", "fails", kind="extensions")
    source = (
        "from transship import hookimpl\nseen = []\n@hookimpl\ndef transship_event(event):\n    seen.append(event)\n"
    )
    module = site.add("transship-watches", source, "watches", kind="extensions")
    manager = PluginManager()
    failures = manager.load_extensions()
    assert [failure.distribution for failure in failures] == ["transship-fails"]
    manager.hook.transship_event(event="something")
    assert sys.modules[module].seen == ["something"]


def test_compression_of_a_third_party_is_found():
    class Lz4(Compression):
        name = "lz4"
        magic = b"\x04\x22\x4d\x18"

    class Plugin:
        @hookimpl
        def transship_compressions(self):
            return [Lz4()]

    manager = PluginManager()
    manager.register(Plugin())
    assert manager.compression("lz4").magic == b"\x04\x22\x4d\x18"


def test_many_threads_get_the_same_plugin(site):
    slow = "import time\ntime.sleep(0.2)\n" + _TRANSPORT.format(names=["slow"])
    site.add("transship-slow", slow, "slow")
    manager = PluginManager()
    start = threading.Barrier(8)
    found: list[object] = []

    def ask() -> None:
        start.wait()
        found.append(manager.transport("slow"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


@pytest.mark.uses("oci")
def test_reference_loads_only_the_plugin_that_it_names():
    code = (
        "import sys\n"
        "from transship.discovery import PluginManager\n"
        "PluginManager().parse_reference('oci:folder:tag')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('transship_') and '.' not in name))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["transship_oci"]
