"""Images that we sign, in registries: the attachment has the shape that other programs give it, and verifies."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import peers
import pytest

from transship.testing.registry import Registry

pytestmark = pytest.mark.uses("dir", "docker")

VECTORS = Path(__file__).parent / "vectors"
TAG = "sha256-e1f4988bb5e511331fc4b17f112e2a8e1187db0679746c4731d21d7d70c327ee.sig"
_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


@contextmanager
def _distribution(folder: Path):
    """Debian's docker-registry; the answer is its host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config.yml").write_text(_CONFIGURATION.format(folder=folder / "storage", port=port))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        _wait_until_open(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_open(port: int) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@contextmanager
def _testing_registry(folder: Path):
    with Registry() as registry:
        yield registry.host


@pytest.fixture(params=[_testing_registry, pytest.param(_distribution, marks=pytest.mark.interop)])
def host(request, tmp_path_factory):
    """A registry, empty at first."""
    with request.param(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def run(tmp_path, transship_cli):
    """Runs ``transship``, which attaches signatures to images in registries."""
    (tmp_path / "registries.d").mkdir()
    (tmp_path / "registries.d" / "attach.yaml").write_text("default-docker: {use-sigstore-attachments: true}\n")

    def run_with(*args, policy: dict | None = None):
        (tmp_path / "policy.json").write_text(json.dumps(policy or {"default": [{"type": "insecureAcceptAnything"}]}))
        outcome = transship_cli("--registries.d", "registries.d", "--policy", "policy.json", *args)
        return outcome.code, outcome.err

    return run_with


@pytest.fixture
def signed(host, run):
    """The name of an image in the registry that was signed there with the key ``a``."""
    name = f"{host}/vectors/img:v1"
    keys = ("--sign-by-sigstore-private-key", str(VECTORS / "a.private"))
    passphrase = ("--sign-passphrase-file", str(VECTORS / "a.passphrase"))
    image = f"dir:{VECTORS / 'unsigned'}"
    code, err = run("copy", "--dest-tls-verify=false", *keys, *passphrase, image, f"docker://{name}")
    assert code == 0, err
    return name


def _requirement(key: str, **identity: str) -> dict:
    requirement = {"type": "sigstoreSigned", "keyPath": str(VECTORS / f"{key}.pub")}
    return {"default": [{**requirement, **({"signedIdentity": identity} if identity else {})}]}


def _documents(layout: Path) -> list:
    """Manifest, config and payloads of an OCI layout, as they are written, without what differs each time."""
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = _blob(layout, entry["digest"])
    members = json.loads(manifest)
    descriptors = [members["config"], *members["layers"]]
    texts = [manifest, *(_blob(layout, descriptor["digest"]) for descriptor in descriptors)]
    return [_masked(text) for text in texts]


def _blob(layout: Path, digest: str) -> str:
    return (layout / "blobs" / digest.replace(":", "/")).read_text()


def _masked(text: str) -> str:
    for pattern in (
        r'(?<="docker-reference":")[^"/]+',
        r'(?<="creator":")[^"]+',
        r'(?<="timestamp":)\d+',
        r'(?<="dev.cosignproject.cosign/signature":")[^"]+',
        r"(?<=sha256:)[0-9a-f]{64}",
        r'(?<="size":)\d+',
    ):
        text = re.sub(pattern, "…", text)
    return text


@pytest.mark.uses("oci")
def test_attachment_has_the_shape_of_other_programs(signed, run, tmp_path):
    name = f"{signed.removesuffix('v1')}{TAG}"
    code, err = run("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path / 'ours'}:x")
    assert code == 0, err
    assert _documents(tmp_path / "ours") == _documents(VECTORS / "attachment")


def test_what_we_signed_in_a_registry_is_accepted(signed, run, tmp_path):
    code, err = run(
        "copy", "--src-tls-verify=false", f"docker://{signed}", f"dir:{tmp_path / 'x'}", policy=_requirement("a")
    )
    assert code == 0, err
    stored = (tmp_path / "x" / "signature-1").read_bytes()
    assert stored.startswith(b"\0sigstore-json\n")
    payload = base64.b64decode(json.loads(stored.partition(b"\n")[2])["payload"])
    assert json.loads(payload)["critical"]["identity"] == {"docker-reference": signed}


def test_what_somebody_else_signed_reaches_no_destination(signed, run, tmp_path):
    for policy in (
        _requirement("b"),
        _requirement("a", type="exactReference", dockerReference=signed.replace(":v1", ":v2")),
    ):
        code, _ = run("copy", "--src-tls-verify=false", f"docker://{signed}", f"dir:{tmp_path / 'x'}", policy=policy)
        assert code == 1
        assert not (tmp_path / "x").exists()


def test_signatures_are_verified_without_a_copy(signed, run):
    assert run("verify", "--tls-verify=false", f"docker://{signed}", policy=_requirement("a"))[0] == 0
    assert run("verify", "--tls-verify=false", f"docker://{signed}", policy=_requirement("b"))[0] == 1


def test_signed_image_is_copied_with_its_signature(signed, host, run):
    other = f"docker://{host}/vectors/copy:v1"
    flags = ("--src-tls-verify=false", "--dest-tls-verify=false")
    code, err = run("copy", *flags, f"docker://{signed}", other, policy=_requirement("a"))
    assert code == 0, err
    same = _requirement("a", type="exactReference", dockerReference=signed)
    assert run("verify", "--tls-verify=false", other, policy=same)[0] == 0
    assert run("verify", "--tls-verify=false", other, policy=_requirement("a"))[0] == 1


def _skopeo(tmp_path, *args):
    command = [peers.SKOPEO, "--registries.d", tmp_path / "registries.d", "--insecure-policy", "copy", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.interop
def test_skopeo_finds_our_signature(signed, run, tmp_path):
    _skopeo(tmp_path, "--src-tls-verify=false", f"docker://{signed}", f"dir:{tmp_path / 'theirs'}")
    assert run("copy", "--src-tls-verify=false", f"docker://{signed}", f"dir:{tmp_path / 'ours'}")[0] == 0
    ours, theirs = ((tmp_path / side / "signature-1").read_bytes() for side in ("ours", "theirs"))
    assert ours == theirs


@pytest.mark.interop
def test_we_find_the_signature_that_skopeo_attached(host, run, tmp_path):
    image = f"docker://{host}/vectors/moved:v1"
    _skopeo(tmp_path, "--dest-tls-verify=false", f"dir:{VECTORS / 'signed-a'}", image)
    named = {"type": "exactReference", "dockerReference": "localhost:5500/vectors/img:v1"}
    assert run("verify", "--tls-verify=false", image, policy=_requirement("a", **named))[0] == 0
    assert run("verify", "--tls-verify=false", image, policy=_requirement("a"))[0] == 1
