"""Signatures of OpenPGP keys in a lookaside of files, beside a real registry, with skopeo on the other side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import peers
import pytest
from registries import docker_registry

from transship.testing.images import oci_image, oci_index, schema2_image
from transship.testing.writers import write_dir, write_oci_layout

pytestmark = [pytest.mark.interop, pytest.mark.uses("openpgp")]

TRANSSHIP = (sys.executable, "-m", "transship")
SKOPEO = (peers.SKOPEO,)
EACH = pytest.mark.parametrize("program", [TRANSSHIP, SKOPEO], ids=["transship", "skopeo"])
PASSPHRASE = "correct horse"  # noqa: S105 - of a key that is made here


def run(*command, check=True):
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def gpg(home, *arguments, data=b""):
    command = ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--pinentry-mode=loopback", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def home():
    """A GnuPG with the keys ``alice``, who has a passphrase, ``bob``, and ``carol``, who signs with a subkey."""
    folder = Path(tempfile.mkdtemp(prefix="gnupg-", dir="/tmp"))  # names of sockets must be short
    try:
        gpg(folder, "--passphrase", PASSPHRASE, "--quick-gen-key", "alice@example.com", "ed25519", "sign", "never")
        gpg(folder, "--passphrase", "", "--quick-gen-key", "bob@example.com", "rsa2048", "sign", "never")
        gpg(folder, "--passphrase", "", "--quick-gen-key", "carol@example.com", "ed25519", "cert", "never")
        listing = gpg(folder, "--with-colons", "-k", "carol@example.com").decode().splitlines()
        fingerprint = next(line.split(":")[9] for line in listing if line.startswith("fpr:"))
        gpg(folder, "--passphrase", "", "--quick-add-key", fingerprint, "ed25519", "sign", "never")
        yield folder
    finally:
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=False)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(autouse=True)
def place(home, registry, tmp_path, monkeypatch):
    """The current folder, with keys, images, and settings for a lookaside beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GNUPGHOME", str(home))
    for name in ("alice", "bob", "carol"):
        (tmp_path / f"{name}.gpg").write_bytes(gpg(home, "--export", f"{name}@example.com"))
    (tmp_path / "passphrase-file").write_text(PASSPHRASE + "\n")
    (tmp_path / "registries.d").mkdir()
    place = f"file://{tmp_path}/lookaside"
    settings = f"docker:\n  {registry.host}:\n    lookaside: {place}\n    lookaside-staging: {place}\n"
    (tmp_path / "registries.d" / "here.yaml").write_text(settings)
    write_oci_layout({"one": oci_image(), "index": oci_index()}, tmp_path / "layout")
    write_dir(schema2_image(), tmp_path / "other")
    return tmp_path


@pytest.fixture
def repository(registry):
    return f"{registry.host}/{os.urandom(8).hex()}"


def policy(repository, *keys, identity=None):
    """A policy that wants a signature for one repository, and rejects all else."""
    members = {"signedIdentity": identity} if identity else {}
    paths = [str(Path(f"{key}.gpg").absolute()) for key in keys]
    requirements = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": path, **members} for path in paths]
    document = {"default": [{"type": "reject"}], "transports": {"docker": {repository: requirements}}}
    Path("policy.json").write_text(json.dumps(document))
    return "policy.json"


def copy(program, source, target, *flags, trust="", check=True):
    trusting = ["--policy", trust] if trust else ["--insecure-policy"]
    options = [*trusting, "--registries.d", "registries.d", "copy", *flags]
    for side, image in (("src", source), ("dest", target)):
        options += [f"--{side}-tls-verify=false"] if image.startswith("docker:") else []
    return run(*program, *options, source, target, check=check)


def signature_files():
    return sorted(Path("lookaside").rglob("signature-*"))


def flags_for(signer):
    return ["--sign-by", f"{signer}@example.com"] + (
        ["--sign-passphrase-file", "passphrase-file"] if signer == "alice" else []
    )


@pytest.mark.parametrize("signer", ["alice", "bob", "carol"])
@EACH
def test_what_one_signs_both_accept(program, signer, repository):
    copy(program, "oci:layout:one", f"docker://{repository}:1", *flags_for(signer))
    assert len(signature_files()) == 1
    trust = policy(repository, signer)
    copy(TRANSSHIP, f"docker://{repository}:1", "dir:ours", trust=trust)
    assert (Path("ours") / "signature-1").read_bytes() == signature_files()[0].read_bytes()
    by_skopeo = copy(SKOPEO, f"docker://{repository}:1", "dir:theirs", trust=trust, check=signer != "carol")
    if by_skopeo.returncode != 0:  # older releases compare the key that signed with primary keys only
        assert "is not accepted" in by_skopeo.stderr


@EACH
def test_nothing_is_written_that_is_not_trusted(program, repository):
    copy(TRANSSHIP, "oci:layout:one", f"docker://{repository}:1", *flags_for("bob"))
    copy(TRANSSHIP, "oci:layout:one", f"docker://{repository}:unsigned", "--remove-signatures")
    copy(TRANSSHIP, "dir:other", f"docker://{repository}:other")
    trust = policy(repository, "alice")
    for image, reason in (
        (f"docker://{repository}:1", ""),
        (f"docker://{repository}:unsigned", ""),
        (f"docker://{repository}:other", "A signature was required, but no signature exists"),
        ("dir:other", "Running image dir:other is rejected by policy."),
    ):
        done = copy(program, image, "dir:target", trust=trust, check=False)
        assert done.returncode == 1
        assert f"Source image rejected: {reason}" in done.stderr
        assert not Path("target").exists() or not (Path("target") / "manifest.json").exists()


@EACH
def test_a_signed_image_does_not_pass_under_another_tag(program, repository):
    copy(TRANSSHIP, "oci:layout:one", f"docker://{repository}:1", *flags_for("bob"))
    copy(TRANSSHIP, "oci:layout:one", f"docker://{repository}:2")
    done = copy(program, f"docker://{repository}:2", "dir:target", trust=policy(repository, "bob"), check=False)
    assert done.returncode == 1
    assert f"{repository}:1" in done.stderr.replace("\\", "")
    wider = policy(repository, "bob", identity={"type": "matchRepository"})
    copy(program, f"docker://{repository}:2", "dir:target", trust=wider)


@EACH
def test_every_requirement_must_be_met(program, repository):
    copy(TRANSSHIP, "oci:layout:one", f"docker://{repository}:1", *flags_for("bob"))
    both = policy(repository, "bob", "alice")
    assert copy(program, f"docker://{repository}:1", "dir:target", trust=both, check=False).returncode == 1
    copy(TRANSSHIP, f"docker://{repository}:1", f"docker://{repository}:1", *flags_for("alice"))
    assert len(signature_files()) == 2
    copy(program, f"docker://{repository}:1", "dir:target", trust=both)


@EACH
def test_an_index_and_its_images_are_signed(program, repository):
    copy(program, "oci:layout:index", f"docker://{repository}:1", "--all", *flags_for("bob"))
    assert len(signature_files()) == 1 + len(oci_index().instances)
    trust = policy(repository, "bob")
    for each in (TRANSSHIP, SKOPEO):
        copy(each, f"docker://{repository}:1", f"dir:by-{Path(each[-1]).name}", "--all", trust=trust)


@EACH
def test_another_name_may_be_signed(program, repository):
    copy(
        TRANSSHIP, "oci:layout:one", f"docker://{repository}:1", *flags_for("bob"), "--sign-identity", "example.com/a:1"
    )
    rule = {"type": "exactReference", "dockerReference": "example.com/a:1"}
    copy(program, f"docker://{repository}:1", "dir:target", trust=policy(repository, "bob", identity=rule))
    assert (
        copy(program, f"docker://{repository}:1", "dir:x", trust=policy(repository, "bob"), check=False).returncode == 1
    )


def test_verify_says_who_signed(repository, home):
    copy(TRANSSHIP, "oci:layout:one", f"docker://{repository}:1", *flags_for("carol"))
    options = ("--policy", policy(repository, "carol"), "--registries.d", "registries.d", "verify", "--json")
    done = run(*TRANSSHIP, *options, "--tls-verify=false", f"docker://{repository}:1")
    listing = gpg(home, "--with-colons", "-k", "carol@example.com").decode()
    fingerprint = listing.partition("\nfpr:::::::::")[2].partition(":")[0]
    assert fingerprint in done.stdout
    assert f"{repository}:1" in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sign-by", "nobody@example.com"], 'no secret key "nobody@example.com"'),
        (["--sign-by-sq-fingerprint", "ABCD"], "Sequoia"),
    ],
)
def test_a_key_that_cannot_sign_stops_the_copy_before_it_begins(flags, message, repository, registry):
    done = copy(TRANSSHIP, "oci:layout:one", f"docker://{repository}:1", *flags, check=False)
    assert done.returncode == 1
    assert message in done.stderr.replace("\\", "")
    assert copy(TRANSSHIP, f"docker://{repository}:1", "dir:x", check=False).returncode != 0
