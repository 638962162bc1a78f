"""Ways round a policy through the whole program, with real transports: each ends with nothing at the destination."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from transship import hookimpl
from transship.api import CopyOptions, PluginManager
from transship.copy.run import copy_image
from transship.errors import TransshipError
from transship.image.platform import PlatformRequest
from transship.places import place
from transship.policy.document import parse_policy
from transship.policy.files import load_policy
from transship.sync.presence import present_digest
from transship.testing.images import oci_image, schema2_image
from transship.testing.registry import Registry
from transship.testing.writers import write_dir, write_oci_archive, write_oci_layout
from transship.verification import verify_image

pytestmark = pytest.mark.uses("dir", "oci", "oci-archive")

ACCEPT = {"type": "insecureAcceptAnything"}
REJECT = {"type": "reject"}


class TestNameThatLeadsElsewhere:
    """The policy is asked about where a name leads; when it leads elsewhere afterwards, nothing is read there."""

    @pytest.fixture(params=["dir", "oci", "oci-archive"])
    def swapped(self, request, tmp_path):
        """A policy that trusts one folder, and a place whose name led there until now."""
        write = {
            "dir": write_dir,
            "oci": lambda image, path: write_oci_layout({"": image}, path),
            "oci-archive": lambda image, path: write_oci_archive({"": image}, path),
        }[request.param]
        for folder, compression in (("trusted", "gzip"), ("elsewhere", "zstd")):
            (tmp_path / folder).mkdir()
            write(oci_image(compression=compression), tmp_path / folder / "image")
        link = tmp_path / "link"
        link.symlink_to("trusted/image")
        scopes = {request.param: {str(tmp_path / "trusted"): [ACCEPT]}}
        manager = PluginManager()
        policy = parse_policy(json.dumps({"default": [REJECT], "transports": scopes}).encode(), "test", manager)
        source = place(manager, f"{request.param}:{link}", "source")

        def swap():
            link.unlink()
            link.symlink_to("elsewhere/image")

        return manager, policy, source, swap

    def _copy(self, manager, policy, source, tmp_path):
        copy_image(
            manager,
            source,
            [place(manager, f"dir:{tmp_path}/out", "destination")],
            policy=policy,
            options=CopyOptions(),
        )

    def test_is_copied_where_it_led(self, swapped, tmp_path):
        manager, policy, source, _ = swapped
        self._copy(manager, policy, source, tmp_path)
        assert (tmp_path / "out" / "manifest.json").exists()

    def test_is_not_copied_from_elsewhere(self, swapped, tmp_path):
        manager, policy, source, swap = swapped
        swap()
        with pytest.raises(TransshipError, match="lead"):
            self._copy(manager, policy, source, tmp_path)
        assert not (tmp_path / "out").exists()

    def test_is_not_verified_elsewhere(self, swapped):
        _, policy, source, swap = swapped
        swap()
        with pytest.raises(TransshipError, match="lead"):
            verify_image(source, policy, platform=PlatformRequest())


WRONG_SCOPES = {
    "no-text": lambda path: {"policy_identity": Path(path)},
    "none": lambda path: {"policy_identity": None},
    "trailing-slash": lambda path: {"policy_identity": path + "/"},
    "relative": lambda path: {"policy_identity": path[1:]},
    "no-tuple": lambda path: {"policy_identity": path, "policy_namespaces": os.path.dirname(path)},
    "everything-first": lambda path: {"policy_identity": path + "/a", "policy_namespaces": ("", path)},
    "another-transport": lambda path: {"transport": "dir", "policy_identity": path},
}


class TestTransportThatGetsItsScopesWrong:
    """A broader rule than the one that was made for an image never lets it pass."""

    @pytest.fixture
    def shelf(self, request, images, transship_plugins):
        """A transport whose references have the wrong members, and a policy that rejects one folder."""

        class Shelf(type(transship_plugins.transport("dir"))):
            name = "shelf"

            def parse_reference(self, text):
                reference = super().parse_reference(text)
                return replace(reference, **{"transport": self.name, **request.param(reference.policy_identity)})

        class Plugin:
            @staticmethod
            @hookimpl
            def transship_transports():
                return [Shelf()]

        transship_plugins.register(Plugin())
        scopes = {"shelf": {str(images / "folder"): [REJECT], "": [ACCEPT]}, "dir": {"": [ACCEPT]}}
        (images / "policy.json").write_text(json.dumps({"default": [ACCEPT], "transports": scopes}))

    @pytest.mark.parametrize("shelf", [lambda path: {}], indirect=True)
    def test_is_no_obstacle_where_it_gets_them_right(self, run, images, shelf):
        (images / "folder").rename(images / "another")
        assert run("--policy", "policy.json", "copy", "-q", "shelf:another", "dir:out", policy=True).code == 0
        (images / "another").rename(images / "folder")
        refused = run("--policy", "policy.json", "copy", "-q", "shelf:folder", "dir:out", policy=True)
        assert "is rejected by policy" in refused.fatal

    @pytest.mark.parametrize("shelf", WRONG_SCOPES.values(), ids=WRONG_SCOPES, indirect=True)
    @pytest.mark.parametrize("command", [("copy", "shelf:folder", "dir:out"), ("verify", "shelf:folder")])
    def test_is_refused_in_one_line(self, run, images, shelf, command):
        outcome = run("--policy", "policy.json", *command, policy=True)
        assert (outcome.code, outcome.lines) == (1, [])
        assert "folder" in outcome.fatal
        assert not (images / "out").exists()

    @pytest.mark.parametrize("shelf", WRONG_SCOPES.values(), ids=WRONG_SCOPES, indirect=True)
    def test_is_not_passed_over_as_one_that_is_there(self, images, shelf, transship_plugins):
        source, destination = (place(transship_plugins, f"{name}:folder", "source") for name in ("shelf", "dir"))
        policy = load_policy("policy.json")
        assert present_digest(destination, destination, policy, CopyOptions()) is not None
        assert present_digest(source, destination, policy, CopyOptions()) is None


SOURCES = ("dir:folder", "oci:layout:v1", "oci:layout:index", "docker-archive:archive.tar")
FILES = (
    "dir:out/dir",
    "dir:out/new",
    "oci:out/oci:old",
    "oci:out/new",
    "oci-archive:out/oci.tar:old",
    "oci-archive:out/new",
    "docker-archive:out/new:app:1",
)


class TestDestinations:
    """A rejected image leaves every destination as it was, to the times of its folders."""

    @pytest.fixture
    def there(self, images):
        """What is at the destinations before."""
        write_dir(schema2_image(), images / "out" / "dir")
        write_oci_layout({"old": oci_image(compression="zstd")}, images / "out" / "oci")
        write_oci_archive({"old": oci_image(compression="zstd")}, images / "out" / "oci.tar")
        return images / "out"

    @pytest.mark.uses("docker-archive")
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("destination", FILES)
    def test_of_files_stay_as_they_are(self, run, there, source, destination):
        (there.parent / "policy.json").write_text(json.dumps({"default": [REJECT]}))
        before = state_of(there)
        outcome = run("--policy", "policy.json", "copy", source, destination, policy=True)
        assert outcome.code == 1
        assert "Source image rejected" in outcome.err
        assert state_of(there) == before

    @pytest.mark.uses("docker")
    @pytest.mark.parametrize("flags", [[], ["--all"], ["--multi-arch=index-only"], ["--sign-identity=example.com/a:1"]])
    def test_registries_are_sent_nothing(self, run, there, flags):
        (there.parent / "policy.json").write_text(json.dumps({"default": [REJECT]}))
        with Registry() as registry:
            target = f"docker://{registry.host}/app:1"
            policy = ("--policy", "policy.json")
            outcome = run(*policy, "copy", "--dest-tls-verify=false", *flags, "oci:layout:index", target, policy=True)
            assert "Source image rejected" in outcome.err
            assert {request.method for request in registry.requests} <= {"GET", "HEAD"}


def state_of(folder):
    """Every name below a folder with all that a write would change."""
    return {
        path: (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        for path in [folder, *folder.rglob("*")]
        for status in [path.lstat()]
    }
