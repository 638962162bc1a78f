"""transship copy, as its users see it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import subprocess
import sys
import termios
from pathlib import Path

import peers
import pytest

from transship.image.digest import digest_of
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.testing.images import (
    PLATFORMS,
    Image,
    docker_list,
    image_of_layers,
    image_with_foreign_layer,
    oci_image,
    oci_index,
    schema2_image,
)
from transship.testing.layers import tar_of
from transship.testing.registry import Registry
from transship.testing.writers import write_dir

pytestmark = pytest.mark.uses("dir")

SOURCES = ["oci:layout:v1", "oci:layout:zstd", "dir:folder", "dir:old", "docker-archive:archive.tar", "dir:list"]
DESTINATIONS = ["dir:target", "oci:target:new", "oci-archive:target", "docker-archive:target:example.com/new:1"]
_COLUMNS = 80
_ON_OWN_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is for this process
from transship.cli.main import main
sys.exit(main())
"""


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _manifest(folder: str = "target") -> bytes:
    return Path(folder, "manifest.json").read_bytes()


@pytest.mark.interop
class TestLikeSkopeo:
    @pytest.mark.uses("oci", "docker-archive")
    @pytest.mark.parametrize("flags", [[], ["-q"], ["--remove-signatures"], ["--all"]])
    @pytest.mark.parametrize("source", ["oci:layout:v1", "dir:folder", "dir:list", "docker-archive:archive.tar"])
    def test_lines_are_the_same_but_for_the_order_of_blobs(self, run, images, source, flags):
        args = ["copy", *flags, source, "dir:target"]
        expected = subprocess.run(
            [peers.SKOPEO, "--insecure-policy", *args], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        subprocess.run(["rm", "-rf", "target"], check=True)
        lines = run(*args).lines
        # this old release still announces signatures when there are none, and words one line otherwise
        expected = [line for line in expected if line != "Storing signatures"]
        expected = [line.replace("6 of 6 images", "6 images generated from 6 images") for line in expected]
        assert sorted(lines) == sorted(expected)
        assert [line for line in lines if "blob" not in line] == [line for line in expected if "blob" not in line]

    @pytest.mark.uses("oci", "docker-archive")
    @pytest.mark.parametrize("source", SOURCES)
    def test_folder_is_the_same_as_skopeos(self, run, images, source):
        if source == "oci:layout:zstd":
            source = "oci:layout:plain"  # the old release knows no zstd in manifests
        subprocess.run([peers.SKOPEO, "--insecure-policy", "copy", "-q", source, "dir:expected"], check=True)
        assert run("copy", "-q", source, "dir:target").code == 0
        assert _tree(images / "target") == _tree(images / "expected")

    @pytest.mark.parametrize(
        "args",
        [
            "dir:none dir:t",
            "--format nope dir:folder dir:t",
            "--multi-arch nope dir:list dir:t",
            "--all --multi-arch all dir:list dir:t",
            "--src-creds  dir:folder dir:t",
            "--src-username x dir:folder dir:t",
            "--dest-password x dir:folder dir:t",
            "--dest-creds x --dest-no-creds dir:folder dir:t",
            "--additional-tag A:x dir:folder docker-archive:t",
            "--additional-tag a dir:folder docker-archive:t",
            "--dest-compress-format nope dir:folder oci:t:x",
            "--dest-force-compress-format dir:folder oci:t:x",
            "--all dir:list docker-archive:t:x:y",
            "--all --preserve-digests --format oci dir:list dir:t",
            "--digestfile none/digest dir:folder dir:t",
            "--override-arch mips dir:list dir:t",
            "dir:folder dir:layout",
            "dir:folder nowhere:x",
        ],
    )
    def test_what_skopeo_refuses_is_refused(self, run, images, args):
        words = args.split(" ")
        expected = subprocess.run([peers.SKOPEO, "--insecure-policy", "copy", *words], capture_output=True, check=False)
        outcome = run("copy", *words)
        assert expected.returncode != 0
        assert outcome.code == 1
        assert outcome.fatal


@pytest.mark.uses("oci", "oci-archive", "docker-archive", "gzip", "zstd")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("destination", DESTINATIONS)
def test_any_image_goes_anywhere_and_can_be_inspected_there(run, images, source, destination):
    outcome = run("copy", source, destination)
    assert (outcome.code, outcome.err) == (0, "")
    place = destination if not destination.startswith("docker") else "docker-archive:target"
    assert run("inspect", place).code == 0


class TestResults:
    def test_quiet_copy_says_nothing(self, run, images):
        outcome = run("copy", "-q", "dir:folder", "dir:target")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")

    @pytest.mark.uses("oci")
    @pytest.mark.parametrize(
        ("args", "digest"),
        [
            (["oci:layout:v1"], oci_image().digest),
            (["--all", "dir:list"], docker_list().digest),
            (["oci:layout:index"], oci_index().instances[0].digest),
        ],
    )
    def test_digest_is_written_without_a_newline(self, run, images, args, digest):
        Path("digest").write_text("something longer than any digest could ever be" * 9)
        command = ["--override-arch", "amd64", "copy", "--digestfile", "digest", *args, "dir:target"]
        assert run(*command).code == 0
        assert Path("digest").read_text() == str(digest)

    @pytest.mark.uses("oci")
    def test_digest_is_that_of_what_was_written(self, run, images):
        assert run("copy", "--format", "v2s2", "--digestfile", "digest", "oci:layout:v1", "dir:target").code == 0
        assert Path("digest").read_text() == str(digest_of(_manifest()))

    @pytest.mark.uses("oci", "gzip")
    @pytest.mark.parametrize(("flag", "word"), [("oci", "vnd.oci.image.manifest"), ("v2s2", "manifest.v2+json")])
    @pytest.mark.parametrize("source", ["oci:layout:v1", "dir:folder", "dir:old"])
    def test_format_is_what_was_asked_for(self, run, images, source, flag, word):
        assert run("copy", "-f", flag, source, "dir:target").code == 0
        assert word in json.loads(_manifest())["mediaType"]

    def test_copy_onto_itself_leaves_the_image(self, run, images):
        before = _tree(images / "folder")
        assert run("copy", "dir:folder", "dir:folder").code == 0
        assert _tree(images / "folder") == before

    @pytest.mark.uses("oci")
    def test_failed_copy_leaves_the_old_image(self, run, images):
        broken = schema2_image()
        write_dir(broken, images / "broken")
        layer = max(broken.blobs.values(), key=len)
        (images / "broken" / digest_of(layer).encoded).write_bytes(b"x" * len(layer))
        assert run("copy", "oci:layout:v1", "dir:target").code == 0
        before = _tree(images / "target")
        outcome = run("copy", "dir:broken", "dir:target")
        assert outcome.code == 1
        assert _tree(images / "target") == before
        assert sorted(os.listdir()) == sorted(["layout", "folder", "old", "list", "archive.tar", "broken", "target"])


class TestSeveralDestinations:
    @pytest.mark.uses("oci", "docker-archive", "gzip")
    def test_all_get_the_image(self, run, images):
        args = ["--also-to", "oci:b:v1", "--also-to=docker-archive:c.tar:example.com/c:1", "dir:folder", "dir:a"]
        outcome = run("copy", *args)
        assert (outcome.code, outcome.err) == (0, "")
        config = run("inspect", "--config", "dir:a").out
        assert run("inspect", "--config", "oci:b:v1").out == config
        assert json.loads(run("inspect", "docker-archive:c.tar").out)["Architecture"] == "amd64"

    @pytest.mark.uses("oci")
    def test_each_blob_is_announced_once(self, run, images):
        lines = run("copy", "--also-to", "oci:b:v1", "oci:layout:v1", "dir:a").lines
        blobs = [line for line in lines if line.startswith("Copying blob")]
        assert len(blobs) == len(set(blobs)) == 2

    def test_one_that_cannot_be_written_stops_all(self, run, images):
        outcome = run("copy", "--also-to", "dir:layout", "dir:folder", "dir:a")
        assert outcome.code == 1
        assert not (images / "a").exists()

    def test_wrong_name_is_refused_before_anything_is_done(self, run, images):
        outcome = run("copy", "--also-to", "nowhere:x", "dir:folder", "dir:a")
        assert outcome.fatal.startswith("Invalid destination name nowhere:x")
        assert not (images / "a").exists()


class TestDryRun:
    @pytest.mark.uses("oci", "oci-archive", "docker-archive", "gzip")
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("destination", DESTINATIONS)
    def test_nothing_changes(self, run, images, source, destination):
        before = _tree(images)
        outcome = run("copy", "--dry-run", "--digestfile", "digest", source, destination)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.lines[-1].startswith("Would copy ")
        assert not any(line.startswith(("Copying blob", "Writing")) for line in outcome.lines)
        assert _tree(images) == before
        assert not (images / "target").exists()

    @pytest.mark.uses("oci")
    def test_what_is_there_is_told(self, run, images):
        run("copy", "oci:layout:v1", "oci:target:a")
        before = _tree(images)
        outcome = run("copy", "--dry-run", "oci:layout:v1", "oci:target:b")
        assert "Would copy 0 blobs (0 bytes)" in outcome.lines[-1]
        assert "3 are there already" in outcome.lines[-1]
        assert _tree(images) == before


class TestIndexes:
    @pytest.mark.uses("oci")
    def test_platform_is_chosen(self, run, images):
        assert run("--override-arch", "s390x", "copy", "oci:layout:index", "dir:target").code == 0
        assert digest_of(_manifest()) == oci_index().instances[4].digest

    @pytest.mark.uses("oci")
    @pytest.mark.parametrize(
        "flags",
        [
            ["--platform", "linux/arm64", "--platform", "linux/s390x"],
            ["--multi-arch", "linux/arm64,linux/s390x"],
            ["--multi-arch", "linux/arm64, linux/s390x "],
        ],
    )
    @pytest.mark.parametrize("source", ["oci:layout:index", "dir:list"])
    def test_some_platforms_are_copied_and_the_index_stays(self, run, images, flags, source):
        outcome = run("copy", *flags, source, "dir:target")
        assert "Copying 2 images generated from 6 images in list" in outcome.lines
        assert len(list((images / "target").glob("*.manifest.json"))) == 2
        assert len(json.loads(_manifest())["manifests"]) == len(PLATFORMS)

    @pytest.mark.uses("oci")
    @pytest.mark.parametrize("flag", ["--strip-removed-platforms", "--strip-sparse-manifest-list"])
    @pytest.mark.parametrize("source", ["oci:layout:index", "dir:list"])
    def test_stripped_index_has_only_what_was_copied(self, run, images, source, flag):
        flags = ["--platform", "linux/arm64", "--platform=linux/s390x", flag]
        assert run("copy", *flags, source, "dir:target").code == 0
        entries = json.loads(_manifest())["manifests"]
        assert [entry["platform"]["architecture"] for entry in entries] == ["arm64", "s390x"]
        assert run("copy", "--all", "dir:target", "oci:again:x").code == 0

    def test_index_alone_is_copied(self, run, images):
        outcome = run("copy", "--multi-arch", "index-only", "dir:list", "dir:target")
        assert outcome.code == 0
        assert f"Copying 0 images generated from {len(PLATFORMS)} images in list" in outcome.lines
        assert _manifest() == docker_list().manifest
        assert sorted(os.listdir("target")) == ["manifest.json", "version"]

    @pytest.mark.parametrize(
        "flags",
        [
            ["--all", "--platform", "linux/amd64"],
            ["--multi-arch", "all", "--platform", "linux/amd64"],
            ["--platform", "nonsense"],
            ["--platform", "linux/mips"],
            ["--multi-arch", "linux/amd64,"],
            ["--multi-arch="],
            ["--format="],
        ],
    )
    def test_contradictions_are_refused(self, run, images, flags):
        outcome = run("copy", *flags, "dir:list", "dir:target")
        assert outcome.code == 1
        assert not (images / "target").exists()


class TestOwnFlags:
    @pytest.mark.uses("oci")
    def test_annotations_are_set(self, run, images):
        flags = ["--annotation", "org.example.a=1", "--annotation", "org.example.b=x=y"]
        assert run("copy", *flags, "oci:layout:v1", "dir:target").code == 0
        assert json.loads(_manifest())["annotations"] == {"org.example.a": "1", "org.example.b": "x=y"}

    @pytest.mark.uses("oci")
    @pytest.mark.parametrize("text", ["novalue", "=x", ""])
    def test_annotation_without_a_name_or_value_is_refused(self, run, images, text):
        assert "expected NAME=VALUE" in run("copy", "--annotation", text, "oci:layout:v1", "dir:target").fatal

    def test_blobs_are_linked_only_if_asked(self, run, images):
        layer = json.loads(schema2_image().manifest)["layers"][0]["digest"].removeprefix("sha256:")
        assert run("copy", "dir:folder", "dir:copied").code == 0
        assert run("copy", "--link", "dir:folder", "dir:linked").code == 0
        assert not os.path.samefile(images / "folder" / layer, images / "copied" / layer)
        assert os.path.samefile(images / "folder" / layer, images / "linked" / layer)

    @pytest.mark.uses("docker-archive")
    def test_link_is_refused_where_it_means_nothing(self, run, images):
        assert "link" in run("copy", "--link", "dir:folder", "docker-archive:t.tar:x:1").fatal

    @pytest.mark.parametrize("number", ["1", "3", "100"])
    def test_any_number_of_blobs_at_the_same_time(self, run, images, number):
        assert run("copy", "--image-parallel-copies", number, "dir:folder", "dir:target").code == 0

    @pytest.mark.parametrize("number", ["-1", "x", ""])
    def test_wrong_number_is_refused(self, run, images, number):
        assert run("copy", "--image-parallel-copies", number, "dir:folder", "dir:target").code == 1

    @pytest.mark.uses("oci", "gzip")
    def test_option_of_a_transport_is_given(self, run, images):
        assert run("copy", "--dest-opt", "compress=true", "oci:layout:plain", "dir:target").code == 0
        assert "gzip" in json.loads(_manifest())["layers"][0]["mediaType"]

    @pytest.mark.parametrize("pair", ["nonsense=1", "compress=maybe", "compress", "=x"])
    def test_unknown_option_of_a_transport_is_refused(self, run, images, pair):
        assert run("copy", "--dest-opt", pair, "dir:folder", "dir:target").code == 1
        assert not (images / "target").exists()


class TestCompression:
    @pytest.mark.uses("oci", "docker-archive", "gzip", "zstd")
    @pytest.mark.parametrize("wanted", ["gzip", "zstd"])
    @pytest.mark.parametrize("source", ["oci:layout:v1", "oci:layout:plain", "oci:layout:zstd", "dir:folder"])
    def test_layers_are_compressed_as_asked(self, run, images, source, wanted):
        flags = ["--dest-compress", "--dest-compress-format", wanted]
        outcome = run("copy", *flags, source, "dir:target")
        assert (outcome.code, outcome.err) == (0, "")
        types = [layer["mediaType"] for layer in json.loads(_manifest())["layers"]]
        assert all(kind.endswith((wanted, f"tar.{wanted}")) for kind in types)
        assert run("copy", "dir:target", "docker-archive:check.tar:x:1").code == 0

    @pytest.mark.uses("oci", "gzip", "zstd")
    @pytest.mark.parametrize("source", ["oci:layout:v1", "oci:layout:zstd", "dir:folder"])
    def test_layers_are_decompressed_for_a_folder_if_asked(self, run, images, source):
        assert run("copy", "--dest-decompress", source, "dir:target").code == 0
        for tar in oci_image().tars:
            assert (images / "target" / digest_of(tar).encoded).read_bytes() == tar

    @pytest.mark.uses("oci", "gzip")
    def test_layers_are_compressed_for_a_layout_unless_asked(self, run, images):
        assert run("copy", "oci:layout:plain", "oci:a:x").code == 0
        assert run("copy", "--dest-oci-accept-uncompressed-layers", "oci:layout:plain", "oci:b:x").code == 0
        assert "gzip" in run("inspect", "--raw", "oci:a:x").out
        assert "gzip" not in run("inspect", "--raw", "oci:b:x").out

    @pytest.mark.uses("oci")
    def test_flags_for_folders_only_warn_elsewhere(self, run, images):
        outcome = run("copy", "--dest-compress", "oci:layout:v1", "oci:target:x")
        assert outcome.code == 0
        assert "can only be used if the destination transport is 'dir'" in outcome.err
        assert "level=warning" in outcome.err

    @pytest.mark.parametrize("level", ["0", "99", "-5"])
    def test_wrong_level_is_refused_in_one_line(self, run, images, level):
        flags = ["--dest-compress", "--dest-compress-format", "gzip", f"--dest-compress-level={level}"]
        outcome = run("copy", *flags, "oci:layout:plain", "dir:target")
        assert outcome.code in (0, 1)
        assert "Traceback" not in outcome.err

    @pytest.mark.uses("oci")
    def test_preserved_digests_are_preserved_or_refused(self, run, images):
        assert run("copy", "--preserve-digests", "oci:layout:plain", "oci:target:x").code == 0
        assert run("inspect", "--raw", "oci:target:x").out.encode() == oci_image(compression="").manifest
        assert run("copy", "--preserve-digests", "oci:layout:v1", "docker-archive:t.tar:x:1").code == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--src-tls-verify=false", "--dest-tls-verify"],
        ["--src-creds", "a:b", "--dest-creds", "c"],
        ["--screds", "a:b", "--dcreds", "c:d"],
        ["--src-no-creds", "--dest-no-creds"],
        ["--src-registry-token", "x", "--dest-cert-dir", "none"],
        ["--authfile", "none", "--src-authfile", "none"],
        ["--src-shared-blob-dir", "none", "--dest-shared-blob-dir", "none"],
        ["--src-daemon-host", "x", "--dest-daemon-host", "y"],
        ["--dest-precompute-digests"],
        ["--dest-oci-accept-uncompressed-layers"],
        ["--additional-tag", "x:1"],
        ["--retry-times", "3", "--retry-delay", "1s"],
        ["--registries.d", "none", "--registries-conf", "none", "--user-agent-prefix", "x", "--tls-details", "none"],
    ],
)
def test_flags_that_mean_nothing_here_are_accepted(run, images, flags):
    outcome = run("copy", *flags, "dir:folder", "dir:target")
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    "flags",
    [
        ["--encryption-key", "jwe:k"],
        ["--encryption-key", "jwe:k", "--encrypt-layer", "0"],
        ["--decryption-key", "k"],
        ["--dest-compress-format", "zstd:chunked"],
    ],
)
def test_flags_that_would_promise_too_much_are_refused(run, images, flags):
    outcome = run("copy", *flags, "dir:folder", "dir:target")
    assert outcome.code == 1
    assert "is not supported yet" in outcome.fatal
    assert not (images / "target").exists()


@pytest.mark.parametrize(
    "flags", [["--encryption-key", "jwe:k", "--decryption-key", "k"], ["--encrypt-layer", "0", "--decryption-key", "k"]]
)
def test_flags_that_contradict_each_other_are_told_as_such(run, images, flags):
    outcome = run("copy", *flags, "dir:folder", "dir:target")
    assert outcome.code == 1
    assert all(flag in outcome.fatal for flag in flags[::2] if flag != "--decryption-key")
    assert "not supported" not in outcome.fatal


def test_foreign_layer_that_is_nowhere_is_told(run, images):
    write_dir(image_with_foreign_layer(), images / "foreign")
    outcome = run("copy", "dir:foreign", "docker-archive:t.tar:x:1")
    assert outcome.code == 1
    assert not (images / "t.tar").exists()


@pytest.mark.uses("oci-archive", "docker-archive", "gzip")
@pytest.mark.parametrize("destination", ["oci-archive:/dev/stdout:x", "docker-archive:/dev/fd/1:x:1"])
def test_archive_on_standard_output_has_no_lines_among_its_bytes(images, destination):
    args = [sys.executable, "-m", "transship", "copy", "--insecure-policy", "dir:folder", destination]
    with open("piped.tar", "wb") as piped:
        subprocess.run(args, stdout=piped, check=True)
    quiet = destination.replace("/dev/stdout", "quiet.tar").replace("/dev/fd/1", "quiet.tar")
    subprocess.run([*args[:-1], quiet], stdout=subprocess.DEVNULL, check=True)
    assert Path("piped.tar").read_bytes() == Path("quiet.tar").read_bytes()


@pytest.mark.uses("oci-archive")
@pytest.mark.parametrize("other", ["archive.tar:y", "link/archive.tar:y", "./archive.tar:x"])
def test_archive_cannot_be_written_twice_at_once(run, images, other):
    os.remove("archive.tar")
    os.symlink(".", "link")
    outcome = run("copy", "-q", "dir:folder", "oci-archive:archive.tar:x", "--also-to", f"oci-archive:{other}")
    assert outcome.code == 1
    assert "being written to already" in outcome.fatal
    assert not os.path.exists("archive.tar")


def test_index_that_names_an_image_by_sha512_stays_as_it_is(run, images):
    write_dir(oci_image(), images / "sha512")
    manifest = oci_image().manifest
    digest = digest_of(manifest, "sha512")
    entry = {"mediaType": OCI_MANIFEST, "digest": str(digest), "size": len(manifest)}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    Path("sha512/manifest.json").write_bytes(index)
    Path(f"sha512/sha512-{digest.encoded}.manifest.json").write_bytes(manifest)
    assert run("copy", "--all", "--preserve-digests", "dir:sha512", "dir:target").code == 0
    assert _manifest() == index


@pytest.mark.uses("oci", "gzip")
@pytest.mark.parametrize(("flag", "ending"), [("--dest-decompress", ".tar"), ("--dest-compress", ".tar+gzip")])
def test_compression_does_not_depend_on_what_was_in_the_folder(run, images, flag, ending):
    for source in ("oci:layout:v1", "oci:layout:plain"):
        assert run("copy", source, "dir:target").code == 0
        assert run("copy", flag, source, "dir:target").code == 0
        assert all(layer["mediaType"].endswith(ending) for layer in json.loads(_manifest())["layers"])


def test_bars_are_drawn_on_a_terminal(images):
    shown = _on_terminal("dir:folder", "dir:target")
    assert shown.count("done") == 3
    assert "Copying config" in shown
    assert "Writing manifest to image destination" in shown


@pytest.mark.parametrize("number_of_layers", [1, 5])
def test_bars_leave_nothing_but_whole_lines_on_the_screen(images, number_of_layers):
    write_dir(_image_of_layers(number_of_layers), images / "many")
    lines = _screen(_on_terminal("dir:many", "dir:target"))
    done = [re.sub(r" done .*", "", line) for line in lines if " done " in line]
    assert lines[0] == "Getting image source signatures"
    assert lines[-1] == "Writing manifest to image destination"
    assert len(done) == len(lines) - 2 == number_of_layers + 1
    assert all(re.fullmatch(r"Copying (blob|config) [0-9a-f]{12}", line) for line in done)


@pytest.mark.uses("docker")
def test_ctrl_c_takes_the_bars_off_the_screen(images):
    with Registry() as registry:
        registry.put_image("app", "v1", _image_of_layers(3, size=400_000))
        source = ["--src-tls-verify=false", "--limit-rate", "50k", f"docker://{registry.host}/app:v1"]
        shown = _on_terminal(*source, "dir:target", interrupted=True)
    assert shown.count("%|") >= 3
    assert "^C" in shown
    assert _screen(shown) == ["Getting image source signatures"]


def _on_terminal(*arguments: str, interrupted: bool = False) -> str:
    """What a copy writes to a terminal of 80 columns; ``interrupted``: Ctrl-C is typed when bars are there."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, _COLUMNS))
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_OWN_TERMINAL, "copy", "--insecure-policy", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "COLUMNS": str(_COLUMNS)},
        start_new_session=True,
    )
    shown, types = b"", interrupted
    os.close(slave)
    with contextlib.suppress(OSError):  # that is how the end of a terminal looks
        while data := os.read(master, 4096):
            shown += data
            if types and shown.count(b"%|") >= 3:
                os.write(master, b"\x03")
                types = False
    os.close(master)
    assert process.wait(30) == (130 if interrupted else 0)
    return shown.decode()


def _screen(written: str) -> list[str]:
    """The lines that a terminal shows in the end, as far as it does what is asked of it here."""
    lines: dict[int, dict[int, str]] = {}
    row = column = 0
    for piece in re.findall(r"\x1b\[[AJ]|.", written, re.DOTALL):
        match piece:
            case "\x1b[A":
                row -= 1
            case "\x1b[J":
                lines = {place: line for place, line in lines.items() if place < row}
                assert column == 0
            case "\r":
                column = 0
            case "\n":
                row += 1
            case _:
                if column == _COLUMNS:
                    row, column = row + 1, 0
                lines.setdefault(row, {})[column] = piece
                column += 1
    texts = ["".join(line.get(place, " ") for place in range(_COLUMNS)).rstrip() for _, line in sorted(lines.items())]
    return [text for text in texts if text]


def _image_of_layers(number: int, size: int = 1000) -> Image:
    return image_of_layers([tar_of({f"file{each}": random.Random(each).randbytes(size)}) for each in range(number)])
