"""inspect, list-tags, delete, manifest-digest, layers, plugins and policy, as their users see them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import peers
import pytest

from transship import __version__
from transship.image.digest import digest_of
from transship.policy.files import load_policy
from transship.testing.images import artifact_with_own_config, oci_image, oci_index, schema1_image, schema2_image
from transship.testing.writers import write_dir

SOURCES = ["oci:layout:v1", "dir:folder", "dir:old", "dir:list", "docker-archive:archive.tar"]


def _skopeo(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([peers.SKOPEO, "--insecure-policy", *args], capture_output=True, text=True, check=False)


class TestInspect:
    @pytest.mark.uses("dir", "oci", "docker-archive")
    @pytest.mark.interop
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("flags", [[], ["--config"], ["--raw"], ["--config", "--raw"], ["--format", "{{.Digest}}"]])
    def test_output_is_skopeos(self, run, images, source, flags):
        expected = _skopeo("inspect", *flags, source).stdout
        shown = run("inspect", *flags, source).out
        if not flags:
            document = json.loads(shown)
            document.pop("LayersData")  # the old release has none
            assert list(document.items()) == list(json.loads(expected).items())
        else:
            assert shown == expected

    @pytest.mark.uses("oci")
    def test_raw_manifest_is_byte_for_byte(self, run, images):
        assert run("inspect", "--raw", "oci:layout:index").out.encode() == oci_index().manifest

    @pytest.mark.uses("oci")
    def test_digest_is_of_what_the_reference_names(self, run, images):
        assert json.loads(run("inspect", "oci:layout:index").out)["Digest"] == str(oci_index().digest)

    @pytest.mark.uses("dir")
    @pytest.mark.parametrize(("algorithm", "length"), [("sha256", 64), ("sha384", 96), ("sha512", 128)])
    def test_digest_may_be_of_another_algorithm(self, run, images, algorithm, length):
        digest = json.loads(run("inspect", "--manifest-digest", algorithm, "dir:folder").out)["Digest"]
        assert digest == str(digest_of(schema2_image().manifest, algorithm))
        assert len(digest.partition(":")[2]) == length

    @pytest.mark.uses("dir")
    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ("--raw --format x dir:folder", "raw output does not support format option"),
            ("--manifest-digest md5 dir:folder", 'digest algorithm "md5" is not available'),
            ("nowhere:x", 'Error parsing image name "nowhere:x": '),
            ("oci:none", 'Error parsing image name "oci:none'),
            ("--raw oci:none", 'Error parsing image name "oci:none'),
            ("oci:layout:none", 'Error parsing image name "oci:layout:none": '),
            ("dir:none", "Error retrieving manifest for image: "),
            ("--raw dir:none", "Error retrieving manifest for image: "),
            (
                "--override-arch mips dir:list",
                "Error parsing manifest for image: choosing image instance: no image found",
            ),
            ("dir:artifact", "unsupported image-specific operation on artifact"),
            ("--format {{.Nope}} dir:folder", "can't evaluate field Nope"),
            ("--format {{ dir:folder", "template"),
        ],
    )
    def test_failure_is_one_line(self, run, images, args, message):
        write_dir(artifact_with_own_config(), images / "artifact")
        outcome = run("inspect", *args.split())
        assert outcome.code in (1, 2)
        assert message in outcome.fatal
        assert outcome.out == ""

    @pytest.mark.parametrize("name", ["manifest.json", digest_of(schema2_image().config).encoded])
    @pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff", b"[" * 10**5, b'{"mediaType":"\\ud800"}'])
    def test_folder_of_a_stranger_never_surprises(self, run, images, name, data):
        (images / "folder" / name).write_bytes(data)
        for flags in ([], ["--config"]):
            outcome = run("inspect", *flags, "dir:folder")
            assert outcome.code == 1
            assert outcome.fatal

    @pytest.mark.uses("dir", "oci")
    def test_several_are_shown_one_after_another(self, run, images):
        names = ["oci:layout:v1", "dir:folder", "oci:layout:v1"]
        outcome = run("inspect", *names)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == "".join(run("inspect", name).out for name in names)

    @pytest.mark.uses("oci")
    def test_each_of_several_has_its_line(self, run, images):
        outcome = run("inspect", "--format", "{{.Digest}}", "oci:layout:v1", "oci:layout:index")
        assert outcome.lines == [str(oci_image().digest), str(oci_index().digest)]

    @pytest.mark.uses("dir", "oci")
    def test_all_are_tried_though_one_fails(self, run, images):
        outcome = run("inspect", "-f", "{{.Os}}", "dir:folder", "oci:layout:none", "nowhere:x", "oci:layout:v1")
        assert (outcome.code, outcome.lines) == (1, ["linux", "linux"])
        assert [line.count("level=error") for line in outcome.err.splitlines()] == [1, 1, 0]
        assert 'image="oci:layout:none"' in outcome.err
        assert outcome.fatal == "2 of 4 images failed"

    @pytest.mark.parametrize("flags", [["--raw"], ["--raw", "--config"]])
    def test_raw_bytes_are_of_one_image(self, run, images, flags):
        outcome = run("inspect", *flags, "dir:folder", "oci:layout:v1")
        assert (outcome.code, outcome.out) == (1, "")


class TestListTags:
    @pytest.mark.uses("oci")
    def test_digests_are_told_too(self, run, images):
        shown = json.loads(run("list-tags", "--digests", "oci:layout").out)
        assert shown["Tags"] == json.loads(run("list-tags", "oci:layout").out)["Tags"]
        assert list(shown["Digests"]) == shown["Tags"]
        assert shown["Digests"]["index"] == str(oci_index().digest)

    @pytest.mark.uses("oci", "oci-archive")
    def test_digests_are_those_of_an_archive_too(self, run, images):
        assert run("copy", "oci:layout:v1", "oci-archive:a.tar:x").code == 0
        shown = json.loads(run("list-tags", "--digests", "oci-archive:a.tar").out)
        assert shown["Digests"] == {"x": str(oci_image().digest)}

    @pytest.mark.uses("dir", "docker-archive")
    @pytest.mark.parametrize("place", ["docker-archive:archive.tar", "dir:folder"])
    def test_digests_that_nobody_knows_are_not_told(self, run, images, place):
        outcome = run("list-tags", "--digests", place)
        assert outcome.code == 1
        assert "does not tell the digests" in outcome.fatal

    @pytest.mark.uses("oci")
    def test_tags_are_listed_in_stored_order(self, run, images):
        assert json.loads(run("list-tags", "oci:layout").out) == {"Tags": ["v1", "plain", "zstd", "index"]}

    @pytest.mark.uses("docker-archive")
    @pytest.mark.interop
    def test_archive_is_listed_as_skopeo_does(self, run, images):
        shown = run("list-tags", "docker-archive:archive.tar").out
        assert shown == _skopeo("list-tags", "docker-archive:archive.tar").stdout

    @pytest.mark.uses("dir", "oci")
    @pytest.mark.parametrize(
        ("place", "message"),
        [
            ("layout", "does not specify a transport"),
            ("dir:folder", "Unsupported transport 'dir' for tag listing"),
            ("oci:none", "no such file"),
            ("oci:layout:v1", "names one image"),
            ("nowhere:x", "nowhere"),
        ],
    )
    def test_failure_is_one_line(self, run, images, place, message):
        outcome = run("list-tags", place)
        assert outcome.code == 1
        assert message in outcome.fatal


class TestDelete:
    @pytest.mark.uses("dir", "oci")
    def test_image_goes_with_what_only_it_needs(self, run, images):
        before = len(list((images / "layout").rglob("*")))
        outcome = run("delete", "oci:layout:zstd")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
        assert json.loads(run("list-tags", "oci:layout").out)["Tags"] == ["v1", "plain", "index"]
        assert len(list((images / "layout").rglob("*"))) < before
        for name in ("v1", "plain"):
            assert run("copy", f"oci:layout:{name}", f"dir:check-{name}").code == 0

    @pytest.mark.uses("dir", "oci", "docker-archive")
    @pytest.mark.parametrize(
        ("image", "code", "message"),
        [
            ("oci:layout:none", 2, "no descriptor found"),
            ("dir:folder", 1, "Deleting images not implemented for dir: images"),
            ("docker-archive:archive.tar", 1, "Deleting images not implemented for docker-archive: images"),
            ("layout", 1, "Invalid source name layout: "),
        ],
    )
    def test_what_cannot_be_deleted_is_told(self, run, images, image, code, message):
        outcome = run("delete", image)
        assert outcome.code == code
        assert message in outcome.fatal

    @pytest.mark.uses("oci")
    def test_several_go_at_once(self, run, images):
        assert run("delete", "oci:layout:zstd", "oci:layout:v1").code == 0
        assert json.loads(run("list-tags", "oci:layout").out)["Tags"] == ["plain", "index"]

    @pytest.mark.uses("oci")
    def test_the_others_go_though_one_is_not_there(self, run, images):
        outcome = run("delete", "oci:layout:zstd", "oci:layout:none", "dir:folder", "oci:layout:v1")
        assert outcome.code == 1
        assert outcome.fatal == "2 of 4 images failed"
        assert json.loads(run("list-tags", "oci:layout").out)["Tags"] == ["plain", "index"]

    @pytest.mark.uses("oci")
    def test_wrong_flag_stops_all(self, run, images):
        outcome = run("delete", "--creds", "", "oci:layout:zstd", "oci:layout:v1")
        assert outcome.fatal == "credentials can't be empty"
        assert len(json.loads(run("list-tags", "oci:layout").out)["Tags"]) == 4

    @pytest.mark.uses("oci")
    def test_tag_goes_and_the_image_stays(self, run, images):
        before = sorted((images / "layout" / "blobs").rglob("*"))
        assert run("delete", "--tag-only", "oci:layout:v1").code == 0
        assert json.loads(run("list-tags", "oci:layout").out)["Tags"] == ["plain", "zstd", "index"]
        assert sorted((images / "layout" / "blobs").rglob("*")) == before
        assert run("inspect", "--raw", "oci:layout:@0").out.encode() == oci_image().manifest

    @pytest.mark.uses("dir", "oci", "oci-archive")
    @pytest.mark.parametrize(
        ("image", "code", "message"),
        [
            ("oci:layout:none", 2, "no descriptor found"),
            ("oci:layout:@0", 1, "has no name"),
            ("oci:layout", 1, "has no name"),
            ("oci:none:v1", 1, "no such file"),
            ("dir:folder", 1, "Deleting tags alone not implemented for dir"),
            ("oci-archive:none:v1", 1, "Deleting tags alone not implemented for oci-archive"),
        ],
    )
    def test_tag_that_cannot_go_alone_is_told(self, run, images, image, code, message):
        outcome = run("delete", "--tag-only", image)
        assert outcome.code == code
        assert message in outcome.fatal


class TestManifestDigest:
    @pytest.mark.interop
    @pytest.mark.parametrize("path", ["folder/manifest.json", "old/manifest.json", "list/manifest.json", "archive.tar"])
    def test_digest_is_skopeos(self, run, images, path):
        expected = _skopeo("manifest-digest", path)
        assert run("manifest-digest", path).out == expected.stdout
        assert expected.returncode == 0

    def test_signed_schema_1_has_the_digest_of_its_payload(self, run, images):
        shown = run("manifest-digest", "old/manifest.json").out.strip()
        assert shown == str(schema1_image().digest)
        assert shown != str(digest_of(schema1_image().manifest))

    @pytest.mark.parametrize("path", ["none", "folder"])
    def test_unreadable_file_is_told(self, run, images, path):
        outcome = run("manifest-digest", path)
        assert outcome.code == 1
        assert outcome.fatal.startswith(f"Error reading manifest from {path}: ")

    def test_endless_file_is_refused(self, run):
        assert run("manifest-digest", "/dev/zero").code == 1


class TestLayers:
    @pytest.mark.uses("dir", "oci")
    def test_layers_and_config_land_in_a_new_folder(self, run, images):
        outcome = run("layers", "oci:layout:v1")
        assert outcome.code == 0
        assert "DEPRECATED" in outcome.err
        (folder,) = images.glob("layers-*")
        assert {path.name for path in folder.iterdir()} >= {digest.encoded for digest in oci_image().blobs}
        assert (folder / "manifest.json").read_bytes() == oci_image().manifest

    @pytest.mark.uses("dir", "oci")
    def test_only_the_named_ones_are_fetched(self, run, images):
        digest = json.loads(oci_image().manifest)["layers"][1]["digest"]
        assert run("layers", "oci:layout:v1", digest).code == 0
        (folder,) = images.glob("layers-*")
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [digest.removeprefix("sha256:"), "manifest.json", "version"]
        )

    @pytest.mark.parametrize("args", [["nowhere:x"], ["dir:none"], ["dir:folder", "nonsense"], ["dir:list"]])
    def test_failure_is_one_line(self, run, images, args):
        outcome = run("layers", *args)
        assert outcome.code == 1
        assert outcome.fatal


class TestPlugins:
    @pytest.mark.uses("dir", "oci", "zstd")
    def test_all_are_listed_and_none_of_the_named_is_loaded(self, run):
        entries = json.loads(run("plugins", "--json").out)
        found = {(entry["kind"], entry["name"]) for entry in entries}
        assert found >= {("transports", "oci"), ("transports", "dir"), ("compressions", "zstd"), ("commands", "copy")}
        assert not any(entry["loaded"] for entry in entries if entry["kind"] == "transports")
        assert all(entry["version"] == __version__ for entry in entries if entry["distribution"] == "transship-core")

    def test_table_has_a_line_for_each(self, run):
        lines = run("plugins").lines
        assert lines[0].split() == ["KIND", "NAME", "DISTRIBUTION", "VERSION", "LOADED"]
        assert len(lines) == 1 + len(json.loads(run("plugins", "--json").out))

    @pytest.mark.uses("oci")
    def test_transport_is_shown_with_what_it_can_and_its_options(self, run):
        facts = json.loads(run("plugins", "show", "transports", "oci", "--json").out)
        assert facts["can"] == ["read", "write", "delete", "delete tags", "list tags", "list digests"]
        assert {"link", "shared-blob-dir"} <= set(facts["options"])
        assert facts["distribution"] == f"transship-oci {__version__}"

    @pytest.mark.uses("openpgp")
    def test_mechanism_is_shown_with_what_it_verifies_and_how_it_signs(self, run):
        facts = json.loads(run("plugins", "show", "signatures", "openpgp", "--json").out)
        assert facts["can"] == ["verify", "sign"]
        assert facts["policy requirements"] == ["signedBy"]
        assert facts["ways to sign"]

    @pytest.mark.uses("dask")
    def test_executor_is_shown_with_where_it_runs(self, run):
        assert json.loads(run("plugins", "show", "executor", "threads", "--json").out)["runs jobs"] == "in this process"
        assert json.loads(run("plugins", "show", "executor", "dask", "--json").out)["runs jobs"] == "elsewhere"

    @pytest.mark.parametrize(
        "words",
        [
            pytest.param(["compressions", "zstd"], marks=pytest.mark.uses("zstd")),
            pytest.param(["compression", "gzip"], marks=pytest.mark.uses("gzip")),
            pytest.param(["signatures", "sigstore"], marks=pytest.mark.uses("sigstore")),
            ["compression", "bzip2"],
            ["commands", "copy"],
            ["executors", "threads"],
        ],
    )
    def test_others_are_shown_too(self, run, words):
        outcome = run("plugins", "show", *words)
        assert (outcome.code, outcome.err) == (0, "")
        assert f"name: {words[1]}" in outcome.out

    @pytest.mark.parametrize(
        "words",
        [
            ["show"],
            ["show", "oci"],
            ["show", "transports", "none"],
            ["show", "x", "y"],
            ["list"],
            ["new"],
            ["new", "transport"],
            ["new", "x", "y"],
            ["new", "transport", "Y"],
            ["new", "transport", "y", "z"],
            ["new", "transport", "y", "--json"],
            ["--output", "y"],
            ["show", "transports", "oci", "--output", "y"],
        ],
    )
    def test_wrong_words_are_refused(self, run, tmp_path, monkeypatch, words):
        monkeypatch.chdir(tmp_path)
        assert run("plugins", *words).code == 1
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("kind", ["transport", "transports", "extension"])
    def test_new_plugin_is_begun_in_a_folder_of_its_name(self, run, tmp_path, monkeypatch, kind):
        monkeypatch.chdir(tmp_path)
        outcome = run("plugins", "new", kind, "acme")
        assert (outcome.code, outcome.err) == (0, "")
        assert "cd transship-acme" in outcome.out
        assert (tmp_path / "transship-acme" / "pyproject.toml").exists()
        again = run("plugins", "new", kind, "acme")
        assert again.code == 1
        assert "transship-acme" in again.fatal

    def test_new_plugin_is_begun_in_the_folder_that_is_named(self, run, tmp_path):
        folder = tmp_path / "my folder"
        outcome = run("plugins", "new", "command", "acme", "--output", str(folder))
        assert outcome.code == 0
        assert f"cd '{folder}'" in outcome.out
        assert (folder / "pyproject.toml").exists()

    @pytest.mark.parametrize(
        ("kind", "name", "warnings"),
        [
            pytest.param("transport", "oci", 2, marks=pytest.mark.uses("oci")),
            pytest.param("command", "oci", 1, marks=pytest.mark.uses("oci")),
            pytest.param("command", "login", 1, marks=pytest.mark.uses("docker")),
        ],
    )
    def test_new_plugin_that_would_get_in_the_way_of_another_is_begun_with_a_warning(
        self, run, tmp_path, kind, name, warnings
    ):
        outcome = run("plugins", "new", kind, name, "--output", str(tmp_path / "new"))
        assert outcome.code == 0
        assert outcome.err.count("level=warning") == warnings


class TestPolicy:
    @pytest.mark.uses("dir")
    def test_first_policy_is_written_and_can_be_read(self, run, images):
        outcome = run("--policy", "sub/policy.json", "policy", "init", policy=True)
        assert outcome.code == 0
        assert "sub/policy.json" in outcome.out
        policy = load_policy("sub/policy.json")
        assert policy.default[0].type == "reject"
        assert run("--policy", "sub/policy.json", "copy", "dir:folder", "dir:target", policy=True).code == 0

    def test_first_policy_goes_to_the_users_place(self, run, images):
        assert run("policy", "init", policy=True).code == 0
        assert (images / ".config/containers/policy.json").exists()

    @pytest.mark.interop
    def test_first_policy_is_one_that_skopeo_takes(self, run, images):
        run("--policy", "policy.json", "policy", "init", policy=True)
        assert subprocess.run(
            [peers.SKOPEO, "--policy", "policy.json", "copy", "-q", "dir:folder", "dir:t"], check=True
        )

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_nothing_is_overwritten(self, run, images, kind):
        if kind == "file":
            Path("policy.json").write_text("mine")
        else:
            Path("policy.json").symlink_to("elsewhere")
        outcome = run("--policy", "policy.json", "policy", "init", policy=True)
        assert outcome.code == 1
        assert kind == "link" or Path("policy.json").read_text() == "mine"
        assert not os.path.exists("elsewhere")

    @pytest.mark.parametrize("words", [[], ["show"], ["init", "more"]])
    def test_wrong_words_are_refused(self, run, words):
        assert run("policy", *words, policy=True).fatal.startswith("Usage: ")
