"""What ``transship plugins new`` writes works at once, where nothing but the core is installed."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import pytest
from environments import Environment

from transship.image.manifest import parse_manifest
from transship.scaffold.project import KINDS
from transship.testing.images import oci_image
from transship.testing.writers import write_dir

ROOT = Path(__file__).parents[2]
IMAGE = oci_image(compression="")

pytestmark = pytest.mark.uses("dir")


class Workplace:
    """A fresh environment of the core and one transport, from wheels, and plugins that were begun and installed there.

    The folder ``image`` holds an image with uncompressed layers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = Environment(folder)
        self._environment.install(ROOT / "core", ROOT / "plugins" / "transports" / "dir")
        self._environment.link_needs("transship-core")
        self._environment.link("pytest")
        for kind in KINDS:
            self.transship("plugins", "new", kind, f"my-{kind}")
        self._environment.install(*map(self.project, KINDS))
        write_dir(IMAGE, folder / "image")

    def project(self, kind: str) -> Path:
        return self.folder / f"transship-my-{kind}"

    def test(self, kind: str, **settings) -> str:
        """Run the tests of a project; the answer is their last line."""
        return self._environment.run("pytest", "-q", cwd=self.project(kind), **settings).stdout.splitlines()[-1]

    def transship(self, *arguments: str, **settings) -> str:
        return self._environment.run("transship", *arguments, cwd=self.folder, **settings).stdout

    def copy(self, *arguments: str, **settings) -> None:
        self.transship("--insecure-policy", "copy", "--quiet", *arguments, **settings)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return Workplace(tmp_path_factory.mktemp("workplace"))


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass(workplace, kind):
    assert re.fullmatch(r"[0-9]+ passed in .*", workplace.test(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_fail_when_it_offers_nothing(workplace, tmp_path, kind):
    (package,) = workplace.project(kind).glob("src/*")
    broken = tmp_path / package.name / "__init__.py"
    broken.parent.mkdir()
    broken.write_text((package / "__init__.py").read_text().replace("@hookimpl\n", ""))
    assert "failed" in workplace.test(kind, check=False, variables={"PYTHONPATH": str(tmp_path)})


def test_all_are_listed(workplace):
    entries = json.loads(workplace.transship("plugins", "--json"))
    assert {(f"{kind}s", f"my-{kind}", f"transship-my-{kind}") for kind in KINDS} <= {
        (entry["kind"], entry["name"], entry["distribution"]) for entry in entries
    }


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "extension"])
def test_it_is_shown(workplace, kind):
    facts = json.loads(workplace.transship("plugins", "show", kind, f"my-{kind}", "--json"))
    assert facts["distribution"] == f"transship-my-{kind} 0.1.0"


def test_transport_holds_an_image(workplace):
    workplace.copy("dir:image", "my-transport:there")
    workplace.copy("my-transport:there", "dir:back")
    assert workplace.transship("inspect", "--raw", "my-transport:there").encode() == IMAGE.manifest
    assert read_dir(workplace.folder / "back") == read_dir(workplace.folder / "image")


def test_compression_is_used_for_layers(workplace):
    workplace.copy("--dest-compress", "--dest-compress-format", "my-compression", "dir:image", "dir:small")
    small = read_dir(workplace.folder / "small")
    layers = json.loads(small["manifest.json"])["layers"]
    assert {layer["mediaType"].rpartition("+")[2] for layer in layers} == {"my-compression"}
    contents = [zlib.decompress(small[layer["digest"].removeprefix("sha256:")]) for layer in layers]
    assert contents == list(IMAGE.tars)


def test_mechanism_signs_and_a_policy_asks_for_it(workplace):
    (workplace.folder / "key").write_bytes(b"a secret")
    identity = {"type": "exactReference", "dockerReference": "example.com/app:1.0"}
    requirement = {"type": "mySignatureSigned", "keyPath": "key", "signedIdentity": identity}
    (workplace.folder / "policy.json").write_text(json.dumps({"default": [requirement]}))
    signing = ["--sign-with", "my-signature=key", "--sign-identity", "example.com/app:1.0"]
    workplace.copy(*signing, "--dest-signatures", "my-signature:store", "dir:image", "my-transport:signed")
    enforcing = ["--policy", "policy.json", "copy", "--quiet", "--remove-signatures"]
    stored = ["--src-signatures", "my-signature:store"]
    workplace.transship(*enforcing, *stored, "my-transport:signed", "dir:accepted")
    with pytest.raises(AssertionError, match="signature"):
        workplace.transship(*enforcing, "my-transport:signed", "dir:refused")
    assert not (workplace.folder / "refused" / "manifest.json").exists()


def test_command_runs(workplace):
    raw = workplace.transship("inspect", "--raw", "dir:image")
    layers = parse_manifest(IMAGE.manifest, IMAGE.media_type).layers
    total = sum(layer.descriptor.size for layer in layers)
    assert workplace.transship("my-command", "--total", "-", input=raw).split() == [str(total), "total"]


def test_executor_runs_a_sync(workplace):
    for name in ("one", "two"):
        write_dir(IMAGE, workplace.folder / "many" / name)
    syncing = ["sync", "--executor", "my-executor", "--src", "dir", "--dest", "my-transport", "many", "synced"]
    workplace.transship("--insecure-policy", *syncing)
    for name in ("one", "two"):
        raw = workplace.transship("inspect", "--raw", f"my-transport:synced:{name}")
        assert raw.encode() == IMAGE.manifest


def test_extension_sees_a_copy(workplace):
    workplace.copy("dir:image", "my-transport:seen", variables={"TRANSSHIP_MY_EXTENSION_LOG": "log"})
    (line,) = (workplace.folder / "log").read_text().splitlines()
    assert json.loads(line)["destination"] == "my-transport:seen"


def read_dir(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
