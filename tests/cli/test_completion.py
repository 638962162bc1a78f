"""transship completion: what real shells make of the scripts, and what fits where."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from transship import hookimpl
from transship.cli.candidates import Completion
from transship.discovery import PluginManager
from transship.plugin.command import Flag, GoCommand
from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import write_oci_layout

BIN = Path(sys.executable).parent
ENVIRONMENT = {"PATH": f"{BIN}:/usr/bin:/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """The home folder of whoever completes a line; nothing is in it."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with a layout, an archive, and a folder whose name needs quotes."""
    monkeypatch.chdir(tmp_path)
    write_oci_layout({"v1": oci_image(), "$(touch broken)": oci_image(), "v2;x": oci_image()}, tmp_path / "layout")
    (tmp_path / "long way").mkdir()
    (tmp_path / "long way" / "file").touch()
    (tmp_path / ".hidden").mkdir()
    return tmp_path


@pytest.fixture
def registry():
    with Registry() as registry:
        for tag in ("v1", "v2", "w1"):
            registry.put_image("app", tag, oci_image())
        yield registry


def complete(*words, shell="zsh", environment=None):
    """What the program answers to the script of a shell."""
    return ask(shell, *words, environment=environment)


def ask(*words, environment=None):
    """What the program answers to a script that says ``words``."""
    command = [BIN / "transship", "__complete", *words]
    environment = {**ENVIRONMENT, "HOME": os.environ["HOME"], **(environment or {})}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout.splitlines()


def offered(*words, shell="zsh"):
    return [line.partition("\t")[0] for line in complete(*words, shell=shell)]


def fitting(line, manager=None):
    """The words that fit behind ``line``, in this process; None: names of files."""
    *before, current = line.split(" ")
    found = Completion(manager or PluginManager(), before, current).candidates()
    return None if found is None else [each.word for each in found]


class TestWhatFits:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("insp", ["inspect"]),
            ("--debug insp", ["inspect"]),
            ("--policy insp insp", ["inspect"]),
            ("help insp", ["inspect"]),
            ("untr", []),
            ("layer", []),
            ("--pol", ["--policy"]),
            ("--vers", ["--version"]),
            ("copy --dest-compress-", ["--dest-compress-format", "--dest-compress-level"]),
            ("copy -q --dest-compress-l", ["--dest-compress-level"]),
            ("inspect --dest-compress-l", []),
            ("inspect --pol", ["--policy"]),
            ("copy --encrypt", []),
            ("copy --format ", ["oci", "v2s1", "v2s2"]),
            ("copy --format=o", ["--format=oci"]),
            ("copy -f v", ["v2s1", "v2s2"]),
            ("copy --quiet=", ["--quiet=true", "--quiet=false"]),
            ("copy --progress p", ["plain"]),
            ("inspect --creds ", []),
            ("--log-level w", ["warn"]),
            ("sync --src y", ["yaml"]),
            ("sync --executor th", ["threads"]),
            ("copy nonsense:", []),
            ("completion ", ["bash", "zsh", "fish"]),
            ("policy ", ["init"]),
            ("plugins show tr", ["transports"]),
            ("plugins show executors th", ["threads"]),
            ("manifest-digest ", None),
            ("inspect --policy ", None),
            ("inspect --policy=x", None),
        ],
    )
    def test_words(self, line, expected):
        found = None
        try:
            found = fitting(line)
        except Exception:  # the program then answers nothing
            found = []
        assert found == expected

    @pytest.mark.uses("docker", "docker-archive", "oci", "oci-archive")
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("sync --dest oci", ["oci", "oci-archive"]),
            ("copy dock", ["docker://", "docker-archive:"]),
            ("copy --additional-tag oci: dir:a oci-", ["oci-archive:"]),
            ("copy -- oci-", ["oci-archive:"]),
            ("copy oci:a oci:b oci-", []),
            ("copy --also-to oci-", ["oci-archive:"]),
            ("delete oci:a oci:b oci-", ["oci-archive:"]),
        ],
    )
    def test_transports(self, line, expected):
        assert fitting(line) == expected

    @pytest.mark.uses("dir", "oci")
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("copy oci:lay", ["oci:layout:"]),
            ("copy oci:./lay", ["oci:./layout:"]),
            ("copy dir:l", ["dir:layout/", "dir:long way/"]),
            ("copy oci:layout:v", ["oci:layout:v1", "oci:layout:v2;x"]),
            ("copy oci:layout:none", []),
            ("copy dir:.h", ["dir:.hidden/"]),
            ("sync --src oci --dest dir lay", ["layout:"]),
            ("sync --src dir --dest oci lay", None),
            ("sync lay", []),
        ],
    )
    def test_paths_and_their_tags(self, place, line, expected):
        assert fitting(line) == expected

    @pytest.mark.uses("dir")
    def test_hidden_files_are_offered_only_if_asked_for(self, place):
        assert fitting("copy dir:") == ["dir:layout/", "dir:long way/"]

    def test_commands_and_flags_of_plugins(self):
        class Plugin:
            @hookimpl
            def transship_commands(self):
                return [GoCommand("greet", params=[Flag("--loudly")])]

        manager = PluginManager()
        manager.register(Plugin())
        assert fitting("gre", manager) == ["greet"]
        assert fitting("greet --lou", manager) == ["--loudly"]


@pytest.mark.uses("docker")
class TestRegistries:
    @pytest.mark.parametrize(
        "flags",
        [
            ["inspect", "--tls-verify=false"],
            ["copy", "--src-tls-verify=false"],
            ["copy", "--dest-tls-verify=false", "oci:x"],
            ["list-tags", "--tls-verify", "--tls-verify=false"],
        ],
    )
    def test_tags_are_asked_for_with_the_flags_of_the_line(self, registry, flags):
        image = f"docker://{registry.host}/app:"
        assert offered(*flags, f"{image}v") == [f"{image}v1", f"{image}v2"]

    def test_no_answer_is_no_trouble(self, registry):
        assert complete("inspect", f"docker://{registry.host}/app:") == []  # without TLS
        assert complete("inspect", "--tls-verify=false", f"docker://{registry.host}/none:") == []

    def test_a_place_that_is_not_written_out_is_not_asked(self, registry):
        host = f"docker://{registry.host}"
        for text in (host, f"{host}/app", f"{host}/app@sha256:"):
            assert complete("inspect", "--tls-verify=false", text) == []
        assert registry.requests == []

    def test_a_registry_that_does_not_answer_is_not_waited_for(self):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:
            begin = time.monotonic()
            image = f"docker://127.0.0.1:{server.getsockname()[1]}/app:"
            assert complete("inspect", "--tls-verify=false", image) == []
        assert time.monotonic() - begin < 5

    def test_no_program_that_keeps_credentials_is_started(self, registry, tmp_path):
        helper = tmp_path / "docker-credential-nosy"
        helper.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        helper.chmod(0o755)
        (tmp_path / "auth.json").write_text(f'{{"credHelpers": {{"{registry.host}": "nosy"}}}}')
        environment = {"PATH": f"{tmp_path}:{ENVIRONMENT['PATH']}", "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
        image = f"docker://{registry.host}/app:"
        found = complete("inspect", "--tls-verify=false", image, environment=environment)
        assert found == [f"{image}{tag}" for tag in ("v1", "v2", "w1")]
        assert not (tmp_path / "started").exists()


@pytest.mark.uses("docker")
class TestMemory:
    """What is remembered of the tags of a registry."""

    @pytest.fixture
    def tags(self, registry):
        """Completes ``app:BEGIN`` on a line with further words; gives the tags."""
        image = f"docker://{registry.host}/app:"

        def tags(begin="", *words, **settings):
            found = complete("inspect", "--tls-verify=false", *words, image + begin, **settings)
            return [word.removeprefix(image) for word in found]

        return tags

    def test_a_registry_is_asked_once_for_one_line(self, registry, tags):
        assert [tags(), tags("v"), tags("w1")] == [["v1", "v2", "w1"], ["v1", "v2"], ["w1"]]
        assert len(listings(registry)) == 1

    def test_what_is_remembered_needs_nothing_that_speaks_with_registries(self, registry, tags):
        tags()
        words = ["zsh", "inspect", "--tls-verify=false", f"docker://{registry.host}/app:w"]
        code = (
            "import sys; from transship.cli.candidates import answer; answer(sys.argv[1:]); "
            "print('httpx' in sys.modules, 'transship_docker.client' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [f"docker://{registry.host}/app:w1", "False False"]

    def test_what_the_transports_own_options_show_is_not_remembered(self, registry, tags, home):
        assert tags("", "--opt=user-agent-prefix=mine") == ["v1", "v2", "w1"]
        assert registry.requests[-1].headers.get("User-Agent").startswith("mine ")
        assert not memory(home).exists()

    def test_it_is_asked_again_for_what_nothing_fits_of_that_is_remembered(self, registry, tags):
        tags()
        registry.put_image("app", "x1", oci_image())
        assert tags("x") == ["x1"]

    def test_it_is_asked_again_after_a_while(self, registry, tags, home):
        tags()
        for age in (130, -10):  # the clock may have been set
            with sqlite3.connect(memory(home)) as connection:
                connection.execute("UPDATE tags SET asked = ?", (time.time() - age,))
            tags()
        assert len(listings(registry)) == 3

    @pytest.mark.parametrize("flags", [["--no-creds"], ["--authfile", "other.json"], ["--user-agent-prefix", "x"]])
    def test_another_question_has_another_answer(self, registry, tags, flags):
        tags()
        tags("", *flags)
        assert len(listings(registry)) == 2

    def test_what_a_password_on_the_line_shows_is_not_remembered(self, registry, tags, home):
        assert tags("", "--creds", "me:hunter2")
        assert not memory(home).exists()

    @pytest.mark.uses("oci")
    @pytest.mark.parametrize(
        "command",
        [
            ["copy", "--insecure-policy", "--dest-tls-verify=false", "oci:layout:v1", "{image}:v3"],
            ["delete", "--tls-verify=false", "{image}:w1"],
        ],
    )
    def test_a_command_that_may_change_some_forgets_them(self, place, registry, tags, run, command):
        before = tags()
        assert run(*[word.format(image=f"docker://{registry.host}/app") for word in command], policy=True).code == 0
        assert tags() != before

    def test_whoever_logs_out_is_not_told_what_was_seen_before(self, registry, tags, run, home):
        tags()
        (home / "auth.json").write_text(json.dumps({"auths": {registry.host: {"auth": "YTpi"}}}))
        assert run("logout", "--authfile", str(home / "auth.json"), registry.host, policy=True).code == 0
        tags()
        assert len(listings(registry)) == 2

    @pytest.mark.uses("oci")
    def test_commands_that_change_nothing_let_them_be(self, place, registry, tags, run):
        tags()
        assert run("inspect", "oci:layout:v1").code == 0
        tags()
        assert len(listings(registry)) == 1

    @pytest.mark.parametrize("line", ["zsh copy --no-cache", "--no-cache zsh list-tags"])
    def test_nothing_is_remembered_where_that_is_said(self, registry, home, line):
        assert len(ask(*line.split(), "--tls-verify=false", f"docker://{registry.host}/app:v")) == 2
        assert not memory(home).exists()

    def test_a_script_may_say_so_for_all_lines(self, run):
        for shell in ("bash", "zsh", "fish"):
            script = run("completion", shell, "--no-cache").out
            assert script.count(f" __complete --no-cache {shell} ") == 1
            assert "--no-cache" not in run("completion", shell).out

    def test_nobody_else_may_read_them(self, tags, home):
        tags()
        assert memory(home).stat().st_mode & 0o777 == 0o600
        assert memory(home).parent.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"junk" * 999), lambda path: path.chmod(0o666)])
    def test_what_is_broken_or_anybodys_does_not_count(self, registry, tags, home, spoil):
        tags()
        spoil(memory(home))
        assert tags() == ["v1", "v2", "w1"]
        assert len(listings(registry)) == 2

    def test_memory_that_somebody_else_uses_is_not_waited_for(self, tags, home):
        tags()
        with closing(sqlite3.connect(memory(home), isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            assert tags() == ["v1", "v2", "w1"]

    def test_only_some_repositories_are_remembered(self, tags, home):
        tags()
        with sqlite3.connect(memory(home)) as connection:
            rows = [(f"question {number}", "v1", time.time()) for number in range(300)]
            connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)
        tags("nothing-fits")
        with sqlite3.connect(memory(home)) as connection:
            assert connection.execute("SELECT count(*) FROM tags").fetchone() == (100,)

    def test_many_may_complete_at_once(self, registry, tags):
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(tags, ["v", "w", "v", "w"])) == [["v1", "v2"], ["w1"]] * 2


def listings(registry):
    return [request for request in registry.requests if request.path.partition("?")[0].endswith("/tags/list")]


def memory(home):
    return home / ".cache" / "transship" / "tags-v1.sqlite"


@pytest.mark.uses("docker")
def test_the_users_defaults_count(registry, home):
    (home / "conf").mkdir()
    (home / "conf" / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
    (home / "config.toml").write_text(f"[global]\nregistries-conf = '{home}/conf/registries.conf'\n")
    image = f"docker://{registry.host}/app:"
    environment = {"TRANSSHIP_CONFIG": str(home / "config.toml")}
    assert complete("inspect", f"{image}w", environment=environment) == [f"{image}w1"]
    (home / "config.toml").write_text("[global]\nnonsense = 1\n")
    assert complete("inspect", "--tls-verify=false", f"{image}w", environment=environment) == [f"{image}w1"]


@pytest.mark.parametrize(
    "words",
    [[], ["copy"], ["copy", "oci:a\0"], ["copy", "--nope", "oci:"], ["zsh", "nope", ""], ["insp"], ["copy", ""]],
)
def test_nonsense_is_answered_with_nothing_or_little(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [BIN / "transship", "__complete", *[word.replace("\0", "\1") for word in words]],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.uses("dir")
def test_a_name_that_could_end_the_line_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("good", "ba\nd", "ba\x1bd"):
        (tmp_path / name).mkdir()
    assert offered("copy", "dir:") == ["dir:good/"]


class Shell:
    """An interactive shell on a terminal, which shows the line that is being edited."""

    MARK = "\x18"

    def __init__(self, arguments, setup, folder):
        self._process, self._terminal = pty.fork()
        if not self._process:
            os.chdir(folder)
            os.execve(arguments[0], arguments, {**ENVIRONMENT, "HOME": str(folder), "ZDOTDIR": str(folder)})  # noqa: S606
        self._type(f"{setup}\necho READ''Y\n")
        self._read(rb"READY\r?\n")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.close(self._terminal)
        os.kill(self._process, 9)
        os.waitpid(self._process, 0)

    def line_after(self, keys):
        """The line after ``keys`` were typed; it is then thrown away."""
        self._type(keys)
        time.sleep(0.05)
        self._type(self.MARK)
        line = self._read(rb"LINE<(.*)>END")
        self._type("\x15")
        return line

    def _type(self, text):
        os.write(self._terminal, text.encode())

    def _read(self, pattern):
        seen, deadline = b"", time.monotonic() + 20
        while not (found := re.search(pattern, seen)):
            ready, _, _ = select.select([self._terminal], [], [], max(deadline - time.monotonic(), 0))
            assert ready, seen
            seen += os.read(self._terminal, 4096)
        return found[1].decode() if found.groups() else ""


@pytest.fixture
def shell(request, place):
    """A real shell that has read the script; the name of the shell is the parameter."""
    setups = {
        "bash": (
            ["/bin/bash", "--norc", "--noprofile", "-i"],
            'bind \'set bell-style none\'; bind -x \'"\\C-x": printf "LINE<%s>E""ND\\n" "$READLINE_LINE"\'; '
            "source <(transship completion bash)",
        ),
        "zsh": (
            ["/usr/bin/zsh", "-f", "-i"],
            "unsetopt zle_bracketed_paste 2>/dev/null; setopt no_beep; autoload -Uz compinit && compinit -u -D; "
            "bindkey -e; show() { print -r -- \"LINE<$BUFFER>E\"ND }; zle -N show; bindkey '^X' show; "
            "source <(transship completion zsh)",
        ),
    }
    with Shell(*setups[request.param], place) as shell:
        yield shell


BOTH_SHELLS = pytest.mark.parametrize("shell", ["bash", "zsh"], indirect=True)
LINES = [
    ("transship insp\t", "transship inspect "),
    ("transship copy --dest-compress-l\t", "transship copy --dest-compress-level "),
    ("transship copy --format=o\t", "transship copy --format=oci "),
    ("transship copy docker-a\t", "transship copy docker-archive:"),
    ("transship copy oci:lay\t", "transship copy oci:layout:"),
    ("transship copy oci:lay\tv1\t", "transship copy oci:layout:v1 "),
    ("transship copy oci:layout:v1 dir:lay\t", "transship copy oci:layout:v1 dir:layout/"),
    ("transship copy dir:lon\tf\t", "transship copy dir:long\\ way/file "),
    ("transship inspect oci:layout:v2\t", "transship inspect oci:layout:v2\\;x "),
    ("transship manifest-digest lon\tf\t", "transship manifest-digest long\\ way/file "),
    ("transship manifest-digest --policy=lon\tf\t", "transship manifest-digest --policy=long\\ way/file "),
]


@pytest.mark.uses("dir", "docker-archive", "oci")
@BOTH_SHELLS
def test_a_shell_completes_the_line(shell, place):
    for keys, expected in LINES:
        assert shell.line_after(keys) == expected, keys
    hostile = shell.line_after("transship inspect oci:layout:\\$\t")
    assert hostile.startswith("transship inspect oci:layout:\\$\\(touch\\ broken\\)")
    assert not (place / "broken").exists()


@pytest.mark.uses("dir")
@BOTH_SHELLS
def test_a_shell_takes_no_name_for_more_than_a_name(shell, place):
    shown = {
        "a$(touch broken)": "a\\$\\(touch\\ broken\\)/",
        "b`touch broken`": "b\\`touch\\ broken\\`/",
        "c'd": "c\\'d/",
        "e;touch broken": "e\\;touch\\ broken/",
        "-x": "-x/",
        "f\ng": "f",
    }
    for name in shown:
        (place / "odd" / name).mkdir(parents=True)
    for name, line in shown.items():
        assert shell.line_after(f"transship inspect dir:odd/{name[0]}\t") == f"transship inspect dir:odd/{line}"
    assert not (place / "broken").exists()


@pytest.mark.uses("docker")
@BOTH_SHELLS
def test_a_shell_completes_tags_of_a_registry(shell, registry):
    image = f"docker://{registry.host}/app"
    line = f"transship inspect --tls-verify=false {image}"
    assert shell.line_after(f"{line}:w\t") == f"{line}:w1 "
    assert shell.line_after(f"{line}:v\t") == f"{line}:v"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("transship insp", ["inspect"]),
        pytest.param(
            "transship copy oci:layout:v", ["oci:layout:v1", "oci:layout:v2;x"], marks=pytest.mark.uses("oci")
        ),
        ("transship copy --format=o", ["--format=oci"]),
        pytest.param("transship copy dir:long\\ way/", ["dir:long way/file"], marks=pytest.mark.uses("dir")),
        ("transship manifest-digest lon", ["long way/"]),
        ("transship manifest-digest --policy=lon", ["--policy=long way/"]),
    ],
)
def test_fish_completes_the_line(place, line, expected):
    code = "transship completion fish | source; complete -C $argv[1]"
    environment = {**ENVIRONMENT, "HOME": str(place)}
    done = subprocess.run(["fish", "-c", code, line], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert [each.partition("\t")[0] for each in done.stdout.splitlines()] == expected


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_not_known(run, arguments):
    outcome = run("completion", *arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert "bash|zsh|fish" in outcome.fatal
