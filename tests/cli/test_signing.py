"""The flags that sign, and those that say where signatures are."""

from __future__ import annotations

import io
import json
import os
import pty
import threading

import pytest

from transship.cli.application import Application
from transship.cli.signing import ask_passphrase, read_passphrase
from transship.errors import SignatureError, TransshipError

pytestmark = pytest.mark.uses("dir", "oci")

IDENTITY = "example.com/app:1.0"


@pytest.fixture
def signing(run, images, seal, monkeypatch, capsys):
    """Runs transship where the mechanism ``seal`` is installed, with keys ``seal.key`` and ``other.key``."""
    (images / "seal.key").write_bytes(b"open sesame")
    (images / "other.key").write_bytes(b"other")
    original = Application.__init__

    def init(self) -> None:
        original(self)
        self.manager.register(seal)

    monkeypatch.setattr(Application, "__init__", init)
    return run


def test_progress_is_told_as_skopeo_does(signing):
    outcome = signing("copy", "--sign-with", "seal=seal.key", "--sign-identity", IDENTITY, "oci:layout:v1", "dir:out")
    assert outcome.code == 0
    assert outcome.lines[-3:] == [
        "Writing manifest to image destination",
        "Creating signature: Sealing image",
        "Storing signatures",
    ]
    assert os.path.exists("out/signature-1")


def test_several_signatures_are_numbered(signing):
    flags = ("--sign-with", "seal=seal.key", "--sign-with", "seal:key=other.key", "--sign-identity", IDENTITY)
    outcome = signing("copy", *flags, "oci:layout:v1", "dir:out")
    assert outcome.lines[-3:] == [
        "Creating signature 1: Sealing image",
        "Creating signature 2: Sealing image",
        "Storing signatures",
    ]


def test_index_and_instances_are_signed(signing):
    flags = ("--all", "--sign-with", "seal=seal.key", "--sign-identity", IDENTITY)
    outcome = signing("copy", *flags, "oci:layout:index", "dir:out")
    made = [line for line in outcome.lines if line.startswith("Creating signature")]
    instances = [line for line in outcome.lines if line.startswith("Copying image ")]
    assert len(made) == len(instances) + 1
    assert outcome.lines[-2:] == ["Creating signature: Sealing image", "Storing list signatures"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sign-identity", "app:1"], "Could not parse --sign-identity: repository name must be canonical: 'app:1'"),
        (["--sign-identity", "@"], "Could not parse --sign-identity: "),
        (["--sign-with", "seal=seal.key"], "Cannot determine canonical Docker reference for destination dir:out"),
        (
            ["--sign-with", "seal=seal.key", "--sign-identity", "example.com/app"],
            "Sign identity must be a fully specified reference example.com/app",
        ),
        (["--sign-with", "seal"], "--sign-with seal: expected MECHANISM[:METHOD]=KEY"),
        (["--sign-with", "=key"], "--sign-with =key: expected MECHANISM[:METHOD]=KEY"),
        (["--sign-with", "seal=nowhere"], "Error using --sign-with: read nowhere: no such file or directory"),
        (["--sign-with", "seal:blood=seal.key"], "Error using --sign-with: seal has no way to sign named 'blood'"),
        (["--sign-with", "nobody=x"], "unknown signature 'nobody'"),
        (["--sign-passphrase-file", "nowhere"], "open nowhere: no such file or directory"),
        (["--src-signatures", "seal"], "place for signatures 'seal': expected MECHANISM:TEXT"),
        (["--dest-signatures", "nobody:x"], "unknown signature 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_told_and_leaves_nothing(signing, flags, message):
    outcome = signing("copy", *flags, "oci:layout:v1", "dir:out")
    assert outcome.code == 1
    assert outcome.fatal.startswith(message)
    assert not os.path.exists("out")


@pytest.mark.parametrize(
    "flags",
    [
        ["--sign-by", "a", "--sign-by-sigstore-private-key", "b"],
        ["--sign-by", "a", "--sign-by-sq-fingerprint", "b"],
        ["--sign-by-sq-fingerprint", "a", "--sign-by-sigstore-private-key", "b"],
        ["--sign-by", "a", "--sign-with", "seal=b"],
    ],
)
def test_one_passphrase_is_for_one_key(signing, flags):
    outcome = signing("copy", *flags, "--sign-passphrase-file", "nowhere", "oci:layout:v1", "dir:out")
    assert outcome.fatal == (
        "Only one of --sign-by, --sign-by-sq-fingerprint and --sign-by-sigstore-private-key "
        "can be used with --sign-passphrase-file"
    )


@pytest.mark.parametrize(
    ("flag", "distribution"),
    [
        ("--sign-by", "transship-openpgp"),
        ("--sign-by-sq-fingerprint", "transship-openpgp"),
        ("--sign-by-sigstore", "transship-sigstore"),
        ("--sign-by-sigstore-private-key", "transship-sigstore"),
    ],
)
def test_missing_plugin_is_named(signing, flag, distribution, monkeypatch):
    monkeypatch.setenv("TRANSSHIP_DISABLED_PLUGINS", "openpgp,sigstore")
    outcome = signing("copy", flag, "x", "oci:layout:v1", "dir:out")
    assert outcome.code == 1
    assert flag in outcome.fatal
    assert distribution in outcome.fatal


def test_destination_without_room_is_told_before_anything_is_written(signing):
    flags = ("--sign-with", "seal=seal.key", "--sign-identity", IDENTITY)
    outcome = signing("copy", *flags, "oci:layout:v1", "oci:out:v1")
    assert outcome.fatal == "writing signatures: Pushing signatures for OCI images is not supported"
    assert not os.path.exists("out")


def test_layout_has_signatures_where_a_mechanism_keeps_them(signing, images):
    os.mkdir("seals")
    flags = ("--sign-with", "seal=seal.key", "--sign-identity", IDENTITY, "--dest-signatures", "seal:seals")
    assert signing("copy", *flags, "oci:layout:v1", "oci:out:v1").code == 0
    identity = {"type": "exactReference", "dockerReference": IDENTITY}
    requirement = {"type": "sealedBy", "keyPath": "seal.key", "signedIdentity": identity}
    (images / "policy.json").write_text(json.dumps({"default": [requirement]}))
    refused = signing("--policy", "policy.json", "copy", "oci:out:v1", "dir:copied", policy=True)
    assert refused.fatal.startswith("Source image rejected: A signature was required")
    flags = ("--policy", "policy.json", "copy", "--src-signatures", "seal:seals")
    assert signing(*flags, "oci:out:v1", "dir:copied", policy=True).code == 0
    assert os.path.exists("copied/signature-1")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"open sesame\n", b"open sesame"),
        (b"a\nb\n", b"a"),
        (b"", b""),
        (b"\n", b""),
        (b"a\r\n", b"a\r"),
        (b"\xff", b"\xff"),
    ],
)
def test_passphrase_is_the_first_line(tmp_path, content, expected):
    (tmp_path / "file").write_bytes(content)
    assert read_passphrase(str(tmp_path / "file")) == expected


def test_passphrase_may_come_through_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"secret\n",))
    writer.start()
    assert read_passphrase(str(tmp_path / "pipe")) == b"secret"
    writer.join()


def test_endless_passphrase_is_refused():
    with pytest.raises(TransshipError, match="/dev/zero"):
        read_passphrase("/dev/zero")


def test_without_a_terminal_nobody_is_asked(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"secret\n")))
    with pytest.raises(SignatureError) as caught:
        ask_passphrase("Passphrase for key cosign.key: ")
    assert str(caught.value) == "Cannot prompt for a passphrase for key cosign.key, standard input is not a TTY"


def test_passphrase_is_asked_for_on_a_terminal(monkeypatch):
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal, "r") as stdin, os.fdopen(keyboard, "wb", buffering=0) as typist:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("getpass.getpass", lambda prompt, stream: f"{prompt}|ä")
        assert ask_passphrase("Passphrase for key k: ") == "Passphrase for key k: |ä".encode()
        assert not typist.closed
