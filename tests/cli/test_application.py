"""The program as a whole: commands, global flags, exit codes, and how it ends when it is made to."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from transship import __version__, hookimpl
from transship.cli.application import Application

PROGRAM = [sys.executable, "-m", "transship"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("", "Missing command 'transship COMMAND'\nTry 'transship --help' for more information"),
        ("--debug", "Missing command"),
        ("nope-at-all", "Unrecognized command `transship nope-at-all`\nTry 'transship --help'"),
        ("inspekt", "`transship inspekt`\n\nDid you mean this?\n\tinspect\n\nTry 'transship --help'"),
        ("--nope", "unknown flag: --nope"),
        ("-x copy a b", "unknown shorthand flag: 'x' in -x"),
        ("--policy", "flag needs an argument: --policy"),
        ("copy --nope a b", "unknown flag: --nope"),
        ("copy", "Exactly two arguments expected"),
        ("copy a b c", "Exactly two arguments expected"),
        ("copy --quiet false oci:a oci:b", "Exactly two arguments expected"),
        ("list-tags", "Exactly one non-option argument expected"),
        ("inspect", "At least one argument expected"),
        ("delete", "Usage: delete imageReference"),
        ("manifest-digest", "Usage: transship manifest-digest manifest"),
        ("layers", "Usage: layers imageReference [layer...]"),
        ("copy a dir:b", 'Invalid source name a: Invalid image name "a", expected colon-separated transport:reference'),
        ("copy foo:a dir:b", 'Invalid source name foo:a: Invalid image name "foo:a", unknown transport "foo"'),
        pytest.param(
            "copy oci:a foo:b",
            'Invalid destination name foo:b: Invalid image name "foo:b", unknown transport "foo"',
            marks=pytest.mark.uses("oci"),
        ),
        ("copy --command-timeout 5 oci:a oci:b", "time: missing unit in duration"),
        ("--debug=x copy a b", 'invalid argument "x" for "--debug" flag: strconv.ParseBool'),
    ],
)
def test_wrong_command_line_is_one_fatal_line_and_exit_1(run, args, message):
    outcome = run(*args.split(), policy="copy" not in args)
    assert outcome.code == 1
    assert message in outcome.fatal
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("args", "shows_help"), [("copy", True), ("list-tags", True), ("inspect", False), ("delete", False)]
)
def test_help_goes_to_standard_error_only_for_some_mistakes(run, args, shows_help):
    assert ("Usage:" in run(args).err.partition("time=")[0]) is shows_help


@pytest.mark.parametrize(
    "args", ["--help", "-h", "copy --help", "copy -h", "inspect a b -h", "help", "help copy", "--debug --help"]
)
def test_help_is_a_result(run, args):
    outcome = run(*args.split(), policy=True)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Usage" in outcome.out


def test_help_lists_commands_and_hides_the_old_one(run):
    out = run("--help", policy=True).out
    assert "..." not in out  # each summary fits
    for command in ("copy", "inspect", "list-tags", "delete", "manifest-digest", "plugins", "policy"):
        assert f"  {command} " in out
    assert "  layers " not in out


@pytest.mark.parametrize("width", ["60", "80"])
@pytest.mark.parametrize(
    "command", ["copy", "sync", "inspect", pytest.param("login", marks=pytest.mark.uses("docker")), "verify"]
)
def test_help_leaves_names_with_hyphens_in_one_piece(run, monkeypatch, command, width):
    monkeypatch.setenv("COLUMNS", width)
    lines = run(command, "--help", policy=True).lines
    assert any("-" in line for line in lines)
    assert not any(line.endswith("-") or "\u2011" in line for line in lines)


def test_help_tells_of_help_and_version(run):
    flags = run("--help", policy=True).out.partition("Flags:")[2]
    assert "-h, --help" in flags
    assert "-v, --version" in flags


def test_help_of_a_command_does_not_list_global_flags(run):
    assert "--override-arch" not in run("copy", "--help", policy=True).out
    assert "--override-arch" in run("--help", policy=True).out


@pytest.mark.parametrize("args", [["--version"], ["-v"], ["--debug", "--version"]])
def test_version_is_told(args):
    result = subprocess.run([*PROGRAM, *args], capture_output=True, text=True, check=True)
    assert result.stdout == f"transship version {__version__}\n"


@pytest.mark.uses("dir", "oci")
@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("oci:layout:missing", 2),
        ("oci:missing:v1", 1),
        ("dir:missing", 1),
        ("docker-archive:missing", 1),
        ("docker-archive:archive.tar:foo:2", 1),
        ("oci-archive:missing", 1),
    ],
)
def test_exit_code_tells_an_image_that_is_not_there_from_other_failures(run, images, reference, code):
    outcomes = [run("copy", reference, "dir:target"), run("inspect", reference), run("inspect", "--raw", reference)]
    assert [outcome.code for outcome in outcomes] == [code] * 3
    assert not (images / "target").exists()


class TestGlobalFlags:
    @pytest.mark.uses("dir")
    @pytest.mark.parametrize("flag", ["--tls-verify", "--tls-verify=false"])
    @pytest.mark.parametrize("command", ["inspect dir:folder", "manifest-digest folder/manifest.json", "plugins"])
    def test_tls_verify_before_the_command_is_taken_and_deprecated(self, run, images, flag, command):
        outcome = run(flag, *command.split())
        assert outcome.code == 0
        assert "'--tls-verify' is deprecated, please set this on the specific subcommand" in outcome.err
        assert outcome.out == run(*command.split()).out

    @pytest.mark.parametrize("args", ["--tls-verify=maybe plugins", "plugins --tls-verify"])
    def test_tls_verify_is_no_flag_of_every_command(self, run, args):
        assert run(*args.split()).code == 1

    @pytest.mark.uses("dir")
    @pytest.mark.parametrize(
        "args",
        [
            "--insecure-policy copy dir:folder dir:target",
            "copy --insecure-policy dir:folder dir:target",
            "copy dir:folder dir:target --insecure-policy",
            "--debug copy --insecure-policy=true dir:folder dir:target",
            "--override-os linux --insecure-policy copy dir:folder --override-arch=amd64 dir:target",
            "--insecure-policy --tmpdir . copy -- dir:folder dir:target",
        ],
    )
    def test_they_stand_anywhere(self, run, images, args):
        assert run(*args.split(), policy=True).code == 0
        assert (images / "target" / "manifest.json").exists()

    def test_insecure_and_signed_exclude_each_other(self, run):
        outcome = run("--require-signed", "copy", "dir:a", "dir:b")
        assert outcome.fatal == "--insecure-policy and --require-signed are mutually exclusive"

    @pytest.mark.uses("dir", "oci")
    @pytest.mark.parametrize(("flags", "shown"), [([], True), (["--log-level", "warn"], False), (["--debug"], True)])
    def test_log_level_hides_what_matters_less(self, run, images, flags, shown):
        outcome = run("sync", "--src", "oci", "--dest", "dir", "layout", "out", *flags)
        assert outcome.code == 0
        assert ("Synced 4 images" in outcome.err) is shown

    def test_unknown_log_level_is_refused(self, run):
        assert "debug, info, warn, error" in run("plugins", "--log-level", "loud").fatal

    def test_missing_policy_names_the_ways_out(self, run, images, monkeypatch):
        from transship.policy import files

        monkeypatch.setattr(files, "default_paths", lambda: ("none/a", "none/b"))
        outcome = run("copy", "dir:folder", "dir:target", policy=True)
        assert outcome.fatal.startswith("Error loading trust policy: no policy.json file found")
        assert "--insecure-policy" in outcome.fatal

    @pytest.mark.uses("dir")
    def test_policy_file_decides(self, run, images):
        Path("policy.json").write_text('{"default": [{"type": "reject"}]}')
        outcome = run("--policy", "policy.json", "copy", "dir:folder", "dir:target", policy=True)
        assert outcome.code == 1
        assert outcome.fatal.startswith("Source image rejected: ")
        assert not (images / "target").exists()

    @pytest.mark.uses("dir")
    def test_policy_does_not_count_for_inspecting(self, run, images):
        Path("policy.json").write_text('{"default": [{"type": "reject"}]}')
        assert run("--policy", "policy.json", "inspect", "dir:folder", policy=True).code == 0

    @pytest.mark.uses("dir")
    def test_timeout_ends_the_command(self, run, images):
        outcome = run("--command-timeout", "1ns", "copy", "dir:folder", "dir:target")
        assert outcome.code == 1
        assert outcome.fatal.endswith("context deadline exceeded")
        assert not (images / "target").exists()

    @pytest.mark.uses("dir")
    @pytest.mark.parametrize("timeout", ["0", "-5s", "1h"])
    def test_no_timeout_or_a_long_one_does_not(self, run, images, timeout):
        assert run("--command-timeout", timeout, "copy", "dir:folder", "dir:target").code == 0

    @pytest.mark.uses("oci")
    def test_platform_is_overridden(self, run, images):
        out = run("--override-arch", "arm64", "inspect", "--format", "{{.Architecture}}", "oci:layout:index").out
        assert out == "arm64\n"


class TestPlugins:
    @pytest.mark.uses("oci")
    def test_disabled_plugin_is_not_used(self, run, images, monkeypatch):
        monkeypatch.setenv("TRANSSHIP_DISABLED_PLUGINS", " dir , commands:delete")
        outcome = run("copy", "oci:layout:v1", "dir:target")
        assert outcome.code == 1
        assert "disabled" in outcome.fatal
        assert "Unrecognized command" in run("delete", "oci:layout:v1").fatal
        assert "  delete " not in run("--help", policy=True).out

    @pytest.mark.uses("dir")
    def test_broken_extension_is_a_warning_and_the_command_goes_on(self, images):
        (images / "site").mkdir()
        (images / "site" / "broken_extension.py").write_text("1/0")
        info = images / "site" / "transship_breaks-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: transship-breaks\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[transship.extensions]\nbroken = broken_extension\n")
        result = subprocess.run(
            [*PROGRAM, "inspect", "dir:folder"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": "site"},
        )
        assert result.returncode == 0
        assert "level=warning" in result.stderr
        assert "transship-breaks" in result.stderr


class Commands:
    """A plugin with plain click commands, as third parties write them."""

    @hookimpl
    def transship_commands(self):
        @click.command("greet")
        @click.option("--name", default="you")
        @click.argument("words", nargs=-1)
        @click.pass_obj
        def greet(app, name, words):
            click.echo(f"hello {name} {' '.join(words)} {app.globals.debug}")

        @click.command("ask")
        def ask():
            raise click.Abort

        @click.group("group")
        def group():
            """Several commands in one."""

        @group.command("member")
        def member():
            click.echo("member")

        return [greet, ask, group]


class TestCommandsOfThirdParties:
    @pytest.fixture
    def call(self, capsys):
        def call_with(*args):
            application = Application()
            application.manager.register(Commands(), "third party")
            code = application.run(list(args))
            return code, *capsys.readouterr()

        return call_with

    @pytest.mark.parametrize(
        ("args", "out"),
        [
            ("greet", "hello you  False"),
            ("greet --name me a b", "hello me a b False"),
            ("--debug greet a", "hello you a True"),
            ("--policy x --debug=true greet a", "hello you a True"),
            ("group member", "member"),
        ],
    )
    def test_they_run_with_global_flags_before_them(self, call, args, out):
        assert call(*args.split()) == (0, out + "\n", "")

    @pytest.mark.parametrize("args", ["greet --nope", "greet --name", "group nothing", "ask", "--nope greet"])
    def test_their_failures_are_one_line_and_exit_1(self, call, args):
        code, _, err = call(*args.split())
        assert code == 1
        assert err.count("level=fatal") == 1

    def test_they_are_in_the_help(self, call):
        assert "greet" in call("--help")[1]
        assert "--name" in call("greet", "--help")[1]


class TestStreams:
    @pytest.mark.uses("dir")
    def test_closed_pipe_is_exit_1_without_a_word(self, images):
        process = subprocess.Popen(
            [*PROGRAM, "inspect", "dir:folder"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        process.stdout.close()
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (1, "")

    @pytest.mark.uses("dir")
    @pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
    def test_closed_streams_are_no_failure(self, images, redirect):
        command = f'exec "$@" {redirect}'
        args = ["copy", "--insecure-policy", "dir:folder", "dir:target"]
        result = subprocess.run(["sh", "-c", command, "sh", *PROGRAM, *args], capture_output=True, check=False)
        assert (result.returncode, result.stderr) == (0, b"")
        assert (images / "target" / "manifest.json").exists()

    @pytest.mark.uses("dir")
    def test_full_disk_behind_standard_output_is_a_failure(self, images):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run(
                [*PROGRAM, "inspect", "dir:folder"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1
        assert "no space left on device" in result.stderr

    @pytest.mark.uses("dir")
    def test_terminal_gets_a_short_fatal_line(self, images):
        master, slave = pty.openpty()
        process = subprocess.Popen([*PROGRAM, "inspect", "dir:none"], stderr=slave, stdout=subprocess.DEVNULL)
        assert process.wait(30) == 1
        os.close(slave)
        shown = os.read(master, 4096).decode()
        os.close(master)
        assert shown.startswith("\x1b[31mFATA\x1b[0m[0000] ")
        assert "no such file" in shown


_SLOW_PLUGIN = """
import time
from transship import hookimpl
from transship.plugin.blob import BytesContent, Content
from transship.plugin.transport import RawManifest, Reference, Source, Transport
from transship.testing.images import oci_image

IMAGE = oci_image(compression="")

class Slow(Content):
    def __iter__(self):
        while True:
            yield b"x"
            time.sleep(0.02)

class SlowSource(Source):
    def get_manifest(self, instance=None):
        return RawManifest(IMAGE.manifest, IMAGE.media_type)
    def get_blob(self, descriptor):
        if "config" in descriptor.media_type:
            return BytesContent(IMAGE.config)
        return Slow()

class SlowTransport(Transport):
    name = "slow"
    def parse_reference(self, text):
        return Reference(transport="slow", text=text)
    def open_source(self, reference, context):
        return SlowSource()

@hookimpl
def transship_transports():
    return [SlowTransport()]
"""


class TestSignals:
    @pytest.fixture
    def site(self, tmp_path, monkeypatch):
        site = tmp_path / "site"
        info = site / "transship_slow-1.dist-info"
        info.mkdir(parents=True)
        (site / "slow_transport.py").write_text(_SLOW_PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: transship-slow\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[transship.transports]\nslow = slow_transport\n")
        (tmp_path / "work").mkdir()
        monkeypatch.setenv("PYTHONPATH", str(site))
        monkeypatch.chdir(tmp_path / "work")

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize(
        "destinations",
        [
            pytest.param(["dir:target"], marks=pytest.mark.uses("dir")),
            pytest.param(["oci:target:v1"], marks=pytest.mark.uses("gzip", "oci")),
            pytest.param(["oci-archive:t.tar"], marks=pytest.mark.uses("gzip", "oci-archive")),
            pytest.param(["docker-archive:t.tar"], marks=pytest.mark.uses("docker-archive")),
            pytest.param(["dir:a", "oci:b:v1"], marks=pytest.mark.uses("dir", "gzip", "oci")),
        ],
    )
    def test_interrupted_copy_leaves_nothing(self, site, number, code, destinations):
        first, *others = destinations
        args = ["copy", "--insecure-policy", "slow:x", first, *(f"--also-to={other}" for other in others)]
        process = subprocess.Popen([*PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Copying blob"):
                break
        time.sleep(0.15)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code
        assert "Traceback" not in err
        left = [path for path in Path.cwd().rglob("*") if path.name not in ("target", "b")]
        assert left == []

    @pytest.mark.uses("dir", "oci", "oci-archive")
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_pipe_that_nobody_reads_does_not_keep_the_process(self, images, number, code):
        os.mkfifo("pipe")
        before = sorted(os.listdir())
        args = ["copy", "-q", "--insecure-policy", "oci:layout:v1", "oci-archive:pipe", "--also-to=dir:target"]
        process = subprocess.Popen([*PROGRAM, *args], stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while sorted(os.listdir()) == before and time.monotonic() < deadline:
            time.sleep(0.05)  # until the other destination has begun
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        assert process.returncode == code
        assert "Traceback" not in err
        assert sorted(os.listdir()) == before

    @pytest.mark.parametrize("arguments", [["manifest-digest", "pipe"], ["--policy", "pipe", "copy", "dir:a", "dir:b"]])
    def test_timeout_ends_what_waits_for_a_pipe(self, tmp_path, monkeypatch, arguments):
        monkeypatch.chdir(tmp_path)
        os.mkfifo("pipe")
        args = [*PROGRAM, "--command-timeout", "100ms", *arguments]
        result = subprocess.run(args, capture_output=True, text=True, check=False, timeout=30)
        assert result.returncode == 1
        assert "deadline exceeded" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize("arguments", [["copy", "dir:a", "dir:b"], ["plugins"]])
    def test_timeout_ends_what_waits_for_a_pipe_with_defaults(self, tmp_path, monkeypatch, arguments):
        monkeypatch.setenv("TRANSSHIP_CONFIG", str(tmp_path / "pipe"))
        os.mkfifo(tmp_path / "pipe")
        args = [*PROGRAM, *arguments, "--command-timeout=100ms"]
        result = subprocess.run(args, capture_output=True, text=True, check=False, timeout=30)
        assert result.returncode == 1
        assert "deadline exceeded" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.uses("dir")
    def test_timeout_ends_a_copy_in_the_middle(self, site):
        args = ["--command-timeout", "700ms", "copy", "--insecure-policy", "slow:x", "dir:target"]
        result = subprocess.run([*PROGRAM, *args], capture_output=True, text=True, check=False, timeout=30)
        assert result.returncode == 1
        assert "context deadline exceeded" in result.stderr
        assert list(Path.cwd().iterdir()) == []
