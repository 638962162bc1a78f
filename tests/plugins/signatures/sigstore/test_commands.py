"""transship generate-sigstore-key."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from transship_sigstore.key_envelope import unseal
from transship_sigstore.keys import key_pem

TRANSSHIP = Path(sys.executable).with_name("transship")


@pytest.fixture
def run(tmp_path):
    def run_with(*args, **settings):
        settings = {"stdin": subprocess.DEVNULL, **settings}
        command = [TRANSSHIP, "generate-sigstore-key", *args]
        return subprocess.run(command, cwd=tmp_path, text=True, check=False, capture_output=True, **settings)

    return run_with


@pytest.fixture
def passphrase_file(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text("secret\nnot this\n")
    return str(path)


def test_key_pair_is_written(run, tmp_path, passphrase_file):
    done = run("--output-prefix", "key", "--passphrase-file", passphrase_file, umask=0)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 'Key written to "key.private" and "key.pub"\n'
    private, public = tmp_path / "key.private", tmp_path / "key.pub"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (private, public)] == [0o600, 0o644]
    assert key_pem(unseal(private.read_bytes(), b"secret").public_key()) == public.read_bytes()


@pytest.mark.parametrize("name", ["key.pub", "key.private"])
@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_nothing_is_overwritten(run, tmp_path, passphrase_file, name, make):
    make(tmp_path / name)
    done = run("--output-prefix", "key", "--passphrase-file", passphrase_file)
    assert done.returncode == 1
    assert name in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "passphrase"])


def test_failed_run_leaves_nothing(run, tmp_path, passphrase_file):
    done = run("--output-prefix", "no/such/folder/key", "--passphrase-file", passphrase_file)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["passphrase"]


@pytest.mark.parametrize("args", [[], ["--output-prefix", ""], ["--output-prefix", "key", "more"]])
def test_wrong_use_is_refused(run, tmp_path, args):
    done = run(*args)
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())


def test_without_a_terminal_nobody_is_asked(run, tmp_path):
    done = run("--output-prefix", "key", input="secret\nsecret\n", stdin=None)
    assert done.returncode == 1
    assert "key.private" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("again", "code"), [("secret", 0), ("Secret", 1)])
def test_passphrase_is_asked_for_twice(tmp_path, again, code):
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(TRANSSHIP, [str(TRANSSHIP), "generate-sigstore-key", "--output-prefix", "key"])  # noqa: S606
    shown = _converse(terminal, ["secret", again])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    assert "ecret" not in shown
    if code == 0:
        assert unseal((tmp_path / "key.private").read_bytes(), b"secret")
    else:
        assert not list(tmp_path.iterdir())


def _converse(terminal: int, answers: list[str]) -> str:
    """Give each answer when a question came; all that was shown."""
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 1024)
        except OSError:  # the other side is gone
            piece = b""
        if not piece:
            os.close(terminal)
            return shown.decode()
        shown += piece
        if shown.rstrip(b" ").endswith(b":") and answers:
            os.write(terminal, answers.pop(0).encode() + b"\n")
