"""transship sync, against registries in this process and folders."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import time
from concurrent.futures import Future
from contextlib import closing

import pytest

from transship import hookimpl
from transship.cli.application import Application
from transship.image.digest import digest_of
from transship.plugin.executor import Executor, ExecutorFactory
from transship.testing.images import docker_list, oci_image, oci_index, schema2_image
from transship.testing.registry import Fault, Registry
from transship.testing.writers import write_dir, write_oci_layout

pytestmark = pytest.mark.uses("dir", "docker")

INSECURE = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry with the repository ``team/app``; the current folder is empty, and so is the home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    with Registry() as registry:
        for number in range(4):
            registry.put_image("team/app", f"v{number}", image(number))
        yield registry


def image(number: int):
    """One of several images that have a layer in common."""
    return oci_image(architecture=f"arch{number}")


@pytest.fixture
def sync(run, registry):
    """Runs ``transship sync`` from the registry's ``team/app`` unless another source is named."""

    def run_sync(*args: str, src: str = "docker", dest: str = "dir", source: str = "", to: str = "out", **options):
        source = source or f"{registry.host}/team/app"
        return run("sync", "--src", src, "--dest", dest, *INSECURE, *args, source, to, **options)

    return run_sync


def messages(outcome) -> list[str]:
    """What the log says, without times."""
    return [line.partition(" ")[2] for line in outcome.err.splitlines()]


def folders(path) -> list[str]:
    return sorted(str(found.parent.relative_to(path)) for found in path.rglob("manifest.json"))


def requests(registry, method: str, part: str) -> list[str]:
    return [record.target for record in registry.requests if record.method == method and part in record.target]


def test_every_tag_becomes_a_folder(sync, registry, tmp_path):
    outcome = sync()
    assert outcome.code == 0
    assert folders(tmp_path / "out") == [f"app:v{number}" for number in range(4)]
    for number in range(4):
        folder = tmp_path / "out" / f"app:v{number}"
        assert (folder / "manifest.json").read_bytes() == image(number).manifest
        for digest, data in image(number).all_blobs.items():
            assert (folder / digest.encoded).read_bytes() == data


def test_the_log_says_what_is_copied(sync, registry):
    told = messages(sync("--jobs", "1"))
    name = f"{registry.host}/team/app"
    assert told[:2] == [
        f'level=info msg="Tag presence check" imagename="{name}" tagged=false',
        f'level=info msg="Getting tags" image="{name}"',
    ]
    copying = [line for line in told if "Copying image ref" in line]
    assert copying == [
        f'level=info msg="Copying image ref {number + 1}/4" from="docker://{name}:v{number}" to="dir:out/app:v{number}"'
        for number in range(4)
    ]
    assert told[-1] == 'level=info msg="Synced 4 images from 1 sources"'


def test_the_lines_of_one_image_stay_together(sync):
    lines = sync("--jobs", "4").lines
    starts = [number for number, line in enumerate(lines) if line.startswith("Getting image")]
    assert len(starts) == 4
    assert all(lines[start + 4] == "Writing manifest to image destination" for start in starts)


def test_a_layer_of_several_images_is_read_once(sync, registry):
    assert sync("--jobs", "4").code == 0
    layers = [digest for digest in image(0).blobs if digest in image(1).blobs]
    assert layers
    for digest in layers:
        assert len(requests(registry, "GET", str(digest))) == 1


@pytest.mark.uses("oci")
@pytest.mark.parametrize("dest", ["docker", "oci"])
def test_a_layer_of_several_images_is_written_once(sync, registry, dest, tmp_path):
    with Registry() as other:
        to = f"{other.host}/mirror" if dest == "docker" else "layout"
        assert sync("--jobs", "4", dest=dest, to=to).code == 0
        layers = [digest for digest in image(0).blobs if digest in image(1).blobs]
        for digest in layers:
            assert len(requests(registry, "GET", str(digest))) == 1
        if dest == "docker":
            assert dict(other.tags["mirror/app"]) == {f"v{number}": image(number).digest for number in range(4)}
        else:
            names = {
                entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
                for entry in json.loads((tmp_path / "layout/index.json").read_bytes())["manifests"]
            }
            assert names == {f"app:v{number}": str(image(number).digest) for number in range(4)}


class TestNames:
    @pytest.mark.parametrize(
        ("args", "name"),
        [
            (("--scoped",), "{host}/team/app:v0"),
            (("--append-suffix", "-x"), "app:v0-x"),
            (("--dest-name", "all/{name}-{tag}"), "all/app-v0"),
            (("--dest-name", "{repository}", "--append-suffix", "-{tag}"), "team/app-{{tag}}"),
        ],
    )
    def test_names_at_the_destination(self, sync, registry, tmp_path, args, name):
        assert sync(*args, source=f"{registry.host}/team/app:v0").code == 0
        assert folders(tmp_path / "out") == [name.format(host=registry.host)]

    def test_two_images_of_one_name_are_an_error(self, sync):
        outcome = sync("--dest-name", "one")
        assert outcome.code == 1
        assert "--scoped" in outcome.fatal

    @pytest.mark.parametrize("dest", ["dir", "docker"])
    def test_an_image_that_is_named_twice_is_copied_once(self, sync, registry, tmp_path, dest):
        (tmp_path / "twice.yaml").write_text(
            f"{registry.host}:\n  images: {{team/app: [v1, v1]}}\n  images-by-tag-regex: {{team/app: v.}}\n"
        )
        to = "out" if dest == "dir" else f"{registry.host}/mirror"
        outcome = sync("--report", "report", src="yaml", source="twice.yaml", dest=dest, to=to)
        assert outcome.code == 0
        names = [record["destination"].rpartition("/")[2] for record in records(tmp_path / "report")]
        assert sorted(names) == [f"app:v{number}" for number in range(4)]

    def test_a_name_that_no_registry_takes_ends_the_run(self, sync):
        outcome = sync("--keep-going", dest="docker", to="BAD//")
        assert outcome.code == 1
        assert outcome.fatal.startswith('Cannot obtain a valid image reference for transport "docker"')


class TestFoldersThatExist:
    def test_they_are_refused(self, sync, registry):
        assert sync(source=f"{registry.host}/team/app:v0").code == 0
        for args in ((), ("--keep-going",), ("--dry-run",)):
            outcome = sync(*args, source=f"{registry.host}/team/app:v0")
            assert outcome.code == 1
            assert outcome.fatal == 'Refusing to overwrite destination directory "out/app:v0"'

    def test_with_update_nothing_moves_that_is_there(self, sync, registry):
        assert sync().code == 0
        registry.forget_requests()
        outcome = sync("--update")
        assert outcome.code == 0
        assert outcome.lines.count("Skipping: image already present at destination") == 4
        assert len(requests(registry, "HEAD", "/manifests/")) == 4
        assert not requests(registry, "GET", "/manifests/")
        assert not requests(registry, "GET", "/blobs/")

    def test_with_update_what_other_folders_have_is_not_read_again(self, sync, registry, tmp_path):
        assert sync().code == 0
        shutil.rmtree(tmp_path / "out" / "app:v3")
        registry.forget_requests()
        assert sync("--update", "--jobs", "1").code == 0
        for digest in image(3).blobs:
            is_shared = digest in image(0).blobs
            assert bool(requests(registry, "GET", str(digest))) is not is_shared
        assert (tmp_path / "out" / "app:v3" / "manifest.json").exists()

    @pytest.mark.parametrize("harm", ["missing", "short", "no version", "no manifest", "other manifest"])
    def test_with_update_what_is_broken_is_repaired(self, sync, registry, tmp_path, harm):
        assert sync().code == 0
        folder = tmp_path / "out" / "app:v1"
        blob = next(path for path in folder.iterdir() if path.name not in ("manifest.json", "version"))
        content = blob.read_bytes()
        if harm == "missing":
            blob.unlink()
        elif harm == "short":
            blob.write_bytes(content[:-1])
        elif harm == "no version":
            (folder / "version").unlink()
            for path in folder.iterdir():
                path.unlink()
        elif harm == "no manifest":
            (folder / "manifest.json").unlink()
        else:
            (folder / "manifest.json").write_bytes(image(2).manifest)
        assert sync("--update").code == 0
        assert blob.read_bytes() == content
        assert (folder / "manifest.json").read_bytes() == image(1).manifest

    def test_with_full_every_byte_is_looked_at(self, sync, registry, tmp_path):
        assert sync().code == 0
        folder = tmp_path / "out" / "app:v1"
        blob = next(path for path in folder.iterdir() if path.name not in ("manifest.json", "version"))
        content = blob.read_bytes()
        blob.write_bytes(bytes(len(content)))
        assert sync("--update").code == 0
        assert blob.read_bytes() != content
        assert sync("--update", "--full").code == 0
        assert blob.read_bytes() == content


class TestPresentImages:
    def test_cost_one_request_on_each_side(self, sync, registry):
        with Registry() as other:
            assert sync(dest="docker", to=other.host).code == 0
            registry.forget_requests()
            other.forget_requests()
            outcome = sync(dest="docker", to=other.host)
            assert outcome.lines.count("Skipping: image already present at destination") == 4
            for asked, extra in ((registry, {"/v2/", "/v2/team/app/tags/list"}), (other, {"/v2/"})):
                targets = [record.target for record in asked.requests]
                assert len([target for target in targets if target not in extra]) == 4
                assert {record.method for record in asked.requests if "/manifests/" in record.target} == {"HEAD"}
                assert targets.count("/v2/") == 1 if asked is registry else targets.count("/v2/") <= 1

    def test_a_tag_that_moved_is_copied_again(self, sync, registry):
        with Registry() as other:
            assert sync(dest="docker", to=other.host).code == 0
            registry.put_image("team/app", "v1", image(9))
            outcome = sync(dest="docker", to=other.host)
            assert outcome.lines.count("Skipping: image already present at destination") == 3
            assert other.tags["app"]["v1"] == image(9).digest

    def test_with_full_all_blobs_are_asked_for(self, sync, registry):
        with Registry() as other:
            assert sync(dest="docker", to=other.host).code == 0
            other.forget_requests()
            outcome = sync("--full", dest="docker", to=other.host)
            assert "Skipping: image already present at destination" not in outcome.lines
            assert requests(other, "HEAD", "/blobs/")

    def test_of_an_index_the_chosen_image_is_compared(self, sync, registry):
        registry.put_image("multi", "latest", oci_index())
        with Registry() as other:
            args = ("--override-os", "linux", "--override-arch", "amd64")
            source = f"{registry.host}/multi"
            assert sync(*args, dest="docker", source=source, to=other.host).code == 0
            outcome = sync(*args, dest="docker", source=source, to=other.host)
            assert "Skipping: image already present at destination" in outcome.lines

    @pytest.mark.parametrize("make", [oci_index, docker_list])
    def test_a_whole_index_is_compared(self, sync, registry, make):
        registry.put_image("multi", "latest", make())
        with Registry() as other:
            source = f"{registry.host}/multi"
            assert sync("--all", dest="docker", source=source, to=other.host).code == 0
            outcome = sync("--all", dest="docker", source=source, to=other.host)
            assert outcome.lines == [
                "Getting image source signatures",
                "Skipping: image already present at destination",
            ]
            assert other.tags["multi"]["latest"] == make().digest

    def test_an_index_with_a_missing_member_is_completed(self, sync, registry):
        registry.put_image("multi", "latest", oci_index())
        with Registry(sparse_indexes=True) as other:
            other.put_manifest("multi", "latest", oci_index().manifest, oci_index().media_type)
            outcome = sync("--all", dest="docker", source=f"{registry.host}/multi", to=other.host)
            assert outcome.code == 0
            assert {member.digest for member in oci_index().instances} <= set(other.manifests["multi"])

    def test_conversions_are_made_again(self, sync, registry):
        registry.put_image("team/app", "v0", schema2_image())
        source = f"{registry.host}/team/app:v0"
        with Registry() as other:
            for _ in range(2):
                outcome = sync("--format", "oci", dest="docker", source=source, to=other.host)
                assert outcome.code == 0
                assert "Skipping: image already present at destination" not in outcome.lines

    def test_signatures_at_the_source_are_not_passed_over(self, sync, registry, tmp_path):
        source = f"{registry.host}/team/app:v0"
        with Registry(signatures_extension=True) as other:
            assert sync(dest="docker", source=source, to=other.host).code == 0
            digest = str(image(0).digest).replace(":", "=")
            folder = tmp_path / ".local/share/containers/sigstore" / f"team/app@{digest}"
            write_signature(folder)
            config = tmp_path / "registries.d"
            config.mkdir()
            (config / "here.yaml").write_text(
                f"docker:\n  {registry.host}:\n    lookaside: file://{folder.parent.parent}\n"
            )
            outcome = sync("--registries.d", str(config), dest="docker", source=source, to=other.host)
            assert outcome.code == 0
            assert "Storing signatures" in outcome.lines
            outcome = sync(
                "--registries.d", str(config), "--remove-signatures", dest="docker", source=source, to=other.host
            )
            assert outcome.lines == ["Skipping: image already present at destination"]


def write_signature(folder) -> None:
    folder.mkdir(parents=True)
    (folder / "signature-1").write_bytes(b"\x90\x01\x03abc")


class TestPolicy:
    def test_each_image_is_judged(self, sync, registry, tmp_path):
        policy = tmp_path / "policy.json"
        name = f"{registry.host}/team/app"
        policy.write_text(
            json.dumps(
                {
                    "default": [{"type": "insecureAcceptAnything"}],
                    "transports": {"docker": {f"{name}:v2": [{"type": "reject"}]}},
                }
            )
        )
        outcome = sync("--keep-going", "--policy", str(policy), policy=True)
        assert outcome.code == 1
        assert folders(tmp_path / "out") == ["app:v0", "app:v1", "app:v3"]
        assert f'msg="Error copying ref \\"docker://{name}:v2\\"" error="Source image rejected: ' in outcome.err

    def test_one_that_is_there_is_judged_too(self, sync, registry, tmp_path):
        assert sync().code == 0
        policy = tmp_path / "policy.json"
        policy.write_text(json.dumps({"default": [{"type": "reject"}]}))
        outcome = sync("--update", "--policy", str(policy), policy=True)
        assert outcome.code == 1
        assert "Source image rejected" in outcome.fatal


class Elsewhere(ExecutorFactory, Executor):
    """Runs jobs in this process as if it was another one."""

    name = "elsewhere"
    runs_elsewhere = True
    capacity = 1

    def open(self, settings, cancellation):
        return self

    def submit(self, work, /, *arguments):
        future = Future()
        future.set_result(work(*arguments))
        return future

    @hookimpl
    def transship_executors(self):
        return [self]


@pytest.mark.uses("oci")
def test_disabled_plugins_are_disabled_elsewhere(sync, tmp_path, monkeypatch):
    original = Application.__init__

    def init(self):
        original(self)
        self.manager.register(Elsewhere())

    monkeypatch.setattr(Application, "__init__", init)
    monkeypatch.setenv("TRANSSHIP_DISABLED_PLUGINS", "openpgp")
    signed_by = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "none"}
    (tmp_path / "policy.json").write_text(json.dumps({"default": [signed_by]}))
    write_oci_layout({"v1": image(1)}, tmp_path / "layout")
    outcome = sync("--executor", "elsewhere", "--policy", "policy.json", src="oci", source="layout", policy=True)
    assert outcome.code == 1
    assert "transship-openpgp" in outcome.fatal


class TestFailures:
    def test_the_first_one_ends_the_run(self, sync, registry, tmp_path):
        outcome = sync(source=f"{registry.host}/team/app:none")
        assert outcome.code == 2
        source = f"docker://{registry.host}/team/app:none"
        assert outcome.fatal.startswith(f'Error copying ref "{source}": initializing source {source}: ')
        assert "Synced" not in outcome.err

    def test_with_keep_going_the_others_are_copied(self, sync, registry, tmp_path):
        registry.add_fault(Fault("/v2/team/app/manifests/v1", status=403))
        outcome = sync("--keep-going", "--report", "report")
        assert outcome.code == 1
        assert outcome.fatal == "Sync failed due to previous reported error(s) for one or more images"
        assert 'msg="Synced 3 images from 1 sources"' in outcome.err
        assert folders(tmp_path / "out") == ["app:v0", "app:v2", "app:v3"]
        failed = [line for line in records(tmp_path / "report") if line["status"] == "failed"]
        assert [line["destination"] for line in failed] == ["dir:out/app:v1"]
        assert failed[0]["error"]

    def test_what_may_pass_is_tried_again(self, sync, registry, tmp_path):
        body = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "later"}]}'
        registry.add_fault(Fault("/v2/team/app/manifests/v1", status=418, body=body, times=1))
        outcome = sync("--retry-times", "2", "--retry-delay", "1ms")
        assert outcome.code == 0
        assert len(folders(tmp_path / "out")) == 4

    def test_random_faults_lose_nothing(self, sync, registry):
        chance = random.Random(5)
        faults = ({"status": 500}, {"status": 503, "headers": {"Retry-After": "0"}}, {"cut_after": 20}, {"status": 429})
        with Registry() as other:
            for hit in (registry, other):
                for number in range(6):
                    hit.add_fault(Fault(after=number * 6 + chance.randrange(6), times=1, **chance.choice(faults)))
            outcome = sync("--retry-times", "3", "--retry-delay", "1ms", dest="docker", to=other.host)
            assert outcome.code == 0
            assert [record for record in (*registry.requests, *other.requests) if record.status >= 429]
            for number in range(4):
                assert other.tags["app"][f"v{number}"] == image(number).digest
                for digest, data in image(number).all_blobs.items():
                    assert other.blobs["app"][digest].read() == data

    def test_a_mirror_that_fails_is_not_waited_for_by_each_image(self, sync, registry, tmp_path):
        with Registry() as mirror:
            mirror.add_fault(Fault(status=503, headers={"Retry-After": "0"}, path="/v2/m/*"))
            (tmp_path / "registries.conf").write_text(
                f'[[registry]]\nlocation = "{registry.host}/team"\ninsecure = true\n'
                f'[[registry.mirror]]\nlocation = "{mirror.host}/m"\ninsecure = true\n'
            )
            flags = ("--jobs", "1", "--src-opt", f"registries-conf={tmp_path}/registries.conf")
            assert sync(*flags).code == 0
            asked = {record.path for record in mirror.requests if record.path.startswith("/v2/m/")}
        assert asked == {"/v2/m/app/manifests/v0"}
        assert len(folders(tmp_path / "out")) == 4

    def test_a_repository_that_cannot_be_listed(self, sync, registry):
        outcome = sync(source=f"{registry.host}/nothing")
        assert outcome.code == 1
        name = f"{registry.host}/nothing"
        assert outcome.fatal.startswith(f"Error determining repository tags for repo {name}: fetching tags list: ")


class TestFiles:
    def test_digests_are_written(self, sync, tmp_path):
        assert sync("--digestfile", "digests").code == 0
        lines = sorted((tmp_path / "digests").read_text().splitlines(), key=lambda line: line[-1])
        assert lines == [f"{image(number).digest} dir:out/app:v{number}" for number in range(4)]

    def test_a_report_has_a_line_for_each_image(self, sync, registry, tmp_path):
        assert sync("--report", "report", source=f"{registry.host}/team/app:v0").code == 0
        (record,) = records(tmp_path / "report")
        moved = sum(len(data) for digest, data in image(0).blobs.items())
        assert record["status"] == "copied"
        assert record["digest"] == str(image(0).digest)
        assert (record["bytes"], record["blobs_written"]) == (moved, len(image(0).blobs))
        assert record["seconds"] >= 0
        assert sync("--update", "--report", "report", source=f"{registry.host}/team/app:v0").code == 0
        assert [(line["status"], line["bytes"]) for line in records(tmp_path / "report")] == [("skipped", 0)]

    def test_a_link_in_its_place_is_replaced(self, sync, tmp_path):
        (tmp_path / "precious").write_text("mine")
        for name in ("digests", "report"):
            (tmp_path / name).symlink_to("precious")
        assert sync("--digestfile", "digests", "--report", "report").code == 0
        assert (tmp_path / "precious").read_text() == "mine"
        assert (tmp_path / "digests").read_text()
        assert records(tmp_path / "report")

    def test_one_that_cannot_be_written_is_named_first(self, sync, registry):
        outcome = sync("--digestfile", "no/such/folder")
        assert outcome.code == 1
        assert "no/such/folder" in outcome.fatal
        assert not requests(registry, "GET", "/blobs/")


def records(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestDryRun:
    def test_nothing_changes(self, sync, registry, tmp_path):
        outcome = sync("--dry-run")
        assert outcome.code == 0
        assert not (tmp_path / "out").exists()
        assert outcome.out == ""
        told = messages(outcome)
        assert 'level=warning msg="Running in dry-run mode"' in told
        assert len([line for line in told if 'msg="Would have copied image ref ' in line]) == 4
        assert told[-1] == 'level=info msg="Would have synced 4 images from 1 sources"'

    def test_what_is_there_is_told_apart(self, sync, registry):
        with Registry() as other:
            assert sync(dest="docker", source=f"{registry.host}/team/app:v2", to=other.host).code == 0
            told = messages(sync("--dry-run", dest="docker", to=other.host))
            assert len([line for line in told if 'msg="Would have copied image ref ' in line]) == 3
            (left,) = [line for line in told if 'msg="Would have skipped image ref ' in line]
            assert f"{other.host}/app:v2" in left
            assert set(other.tags["app"]) == {"v2"}


class TestTags:
    @pytest.mark.parametrize(
        ("args", "tags"),
        [
            (("--include-tag", "[01]$"), ["v0", "v1"]),
            (("--include-tag", "^v0$", "--include-tag", "3"), ["v0", "v3"]),
            (("--exclude-tag", "0|2"), ["v1", "v3"]),
            (("--semver", ">= 2"), ["v2", "v3"]),
            (("--newest", "1"), ["v3"]),
            (("--newest", "2", "--exclude-tag", "v3"), ["v1", "v2"]),
        ],
    )
    def test_are_chosen(self, sync, tmp_path, args, tags):
        assert sync(*args).code == 0
        assert folders(tmp_path / "out") == [f"app:{tag}" for tag in tags]

    def test_the_newest_are_those_created_last(self, sync, registry, tmp_path):
        for tag, created in (("a", "2024-05-01T10:00:00.123456789Z"), ("b", "2024-07-01T10:00:00Z"), ("c", "")):
            registry.put_image("dated", tag, created_image(tag, created))
        assert sync("--newest", "1", "--newest-by", "created", source=f"{registry.host}/dated").code == 0
        assert folders(tmp_path / "out") == ["dated:b"]

    @pytest.mark.parametrize(("flags", "is_remembered"), [((), True), (("--no-cache",), False)])
    def test_when_images_were_created_is_remembered(self, sync, registry, tmp_path, flags, is_remembered):
        source = f"{registry.host}/dated"
        for tag, created in (("a", "2024-05-01T10:00:00Z"), ("b", ""), ("c", "2024-07-01T10:00:00Z")):
            registry.put_image("dated", tag, created_image(tag, created))
        for number in range(2):
            registry.forget_requests()
            args = ("--newest", "1", "--newest-by", "created", "--dry-run", *flags)
            assert sync(*args, source=source, to=f"out{number}").code == 0
        reads = [request for request in registry.requests if request.method == "GET" and "/dated/" in request.path]
        assert all("/tags/" in request.path for request in reads) is is_remembered
        assert bool(list((tmp_path / "cache").rglob("creation*"))) is is_remembered

    def test_tag_that_names_another_image_now_is_read_again(self, sync, registry, tmp_path):
        registry.put_image("dated", "b", created_image("b", "2024-06-01T10:00:00Z"))
        for number, created in enumerate(("2024-05-01T10:00:00Z", "2024-07-01T10:00:00Z")):
            registry.put_image("dated", "a", created_image("a", created))
            args = ("--newest", "1", "--newest-by", "created")
            assert sync(*args, source=f"{registry.host}/dated", to=f"out{number}").code == 0
        assert [folders(tmp_path / f"out{number}") for number in range(2)] == [["dated:b"], ["dated:a"]]

    def test_file_that_others_may_write_is_not_believed(self, sync, registry, tmp_path):
        for tag, created in (("a", "2024-05-01T10:00:00Z"), ("b", "2024-06-01T10:00:00Z")):
            registry.put_image("dated", tag, created_image(tag, created))
        args = ("--newest", "1", "--newest-by", "created")
        assert sync(*args, source=f"{registry.host}/dated").code == 0
        (file,) = (tmp_path / "cache").rglob("creation*.sqlite")
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE creation SET created = '2000-01-01T00:00:00Z' WHERE created LIKE '2024-06%'")
        file.chmod(0o666)
        assert sync(*args, source=f"{registry.host}/dated", to="again").code == 0
        assert folders(tmp_path / "again") == ["dated:b"]

    @pytest.mark.parametrize(
        "args", [("--include-tag", "["), ("--semver", "x y"), ("--newest", "0"), ("--newest-by", "size")]
    )
    def test_what_makes_no_sense_is_refused(self, sync, registry, args):
        assert sync(*args).code == 1
        assert not registry.requests

    def test_no_choice_is_made_of_one_image(self, sync, registry):
        assert sync("--newest", "1", source=f"{registry.host}/team/app:v0").code == 1


def created_image(tag: str, created: str):
    from dataclasses import replace

    made = image(ord(tag))
    config = json.loads(made.config)
    config.pop("created", None)
    data = json.dumps(config | ({"created": created} if created else {})).encode()
    manifest = json.loads(made.manifest)
    old = manifest["config"]["digest"]
    manifest["config"] |= {"digest": str(digest_of(data)), "size": len(data)}
    blobs = {digest: blob for digest, blob in made.blobs.items() if str(digest) != old} | {digest_of(data): data}
    return replace(made, manifest=json.dumps(manifest).encode(), config=data, blobs=blobs)


class TestDocuments:
    def test_say_what_to_take(self, sync, registry, tmp_path):
        registry.put_image("other", "latest", image(7))
        document = tmp_path / "sync.yaml"
        document.write_text(
            f"""
{registry.host}:
    tls-verify: false
    images:
        other: []
        team/app: [v0, "{image(3).digest}"]
    images-by-tag-regex:
        team/app: ^v[12]$
"""
        )
        outcome = sync(src="yaml", source="sync.yaml")
        assert outcome.code == 0
        assert folders(tmp_path / "out") == [f"app:v{n}" for n in range(3)] + [f"app@{image(3).digest}", "other:latest"]
        assert messages(outcome)[-1] == 'level=info msg="Synced 5 images from 3 sources"'

    def test_their_credentials_are_used(self, sync, tmp_path):
        with Registry(auth="basic", users={"me": "secret"}) as registry:
            registry.put_image("app", "v1", image(1))
            (tmp_path / "sync.yaml").write_text(
                f"{registry.host}:\n  tls-verify: false\n  images: {{app: []}}\n"
                "  credentials: {username: me, password: secret}\n"
            )
            assert sync(src="yaml", source="sync.yaml").code == 0
        assert folders(tmp_path / "out") == ["app:v1"]

    def test_a_repository_that_cannot_be_listed_does_not_stop_the_others(self, sync, registry, tmp_path):
        (tmp_path / "sync.yaml").write_text(
            f"{registry.host}:\n  tls-verify: false\n  images: {{nothing: [], team/app: []}}\n"
        )
        outcome = sync(src="yaml", source="sync.yaml")
        assert outcome.code == 1
        assert 'msg="Error processing repo, skipping"' in outcome.err
        assert len(folders(tmp_path / "out")) == 4

    def test_a_broken_one_is_an_error(self, sync, tmp_path):
        (tmp_path / "sync.yaml").write_text("a: [")
        assert sync(src="yaml", source="sync.yaml").code == 1
        assert sync(src="yaml", source="none.yaml").fatal == "open none.yaml: no such file or directory"

    def test_one_that_never_ends_is_an_error(self, sync):
        outcome = sync(src="yaml", source="/dev/zero")
        assert outcome.code == 1
        assert "size" in outcome.fatal

    def test_an_empty_one_is_none(self, sync, tmp_path):
        (tmp_path / "sync.yaml").write_text("{}")
        outcome = sync(src="yaml", source="sync.yaml")
        assert (outcome.code, messages(outcome)[-1]) == (0, 'level=info msg="Synced 0 images from 0 sources"')


class TestLocalSources:
    def test_folders(self, sync, tmp_path):
        for number, name in enumerate(("team/app:v1", "team/app:v2", "base:1")):
            folder = tmp_path / "media" / name
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_dir(image(number), folder)
        with Registry() as other:
            outcome = sync(src="dir", dest="docker", source="media", to=f"{other.host}/from")
            assert outcome.code == 0
            assert set(other.tags["from/app"]) == {"v1", "v2"}
            assert set(other.tags["from/base"]) == {"1"}
            assert sync("--scoped", src="dir", dest="docker", source="media", to=f"{other.host}/all").code == 0
            assert set(other.tags["all/team/app"]) == {"v1", "v2"}

    def test_one_folder(self, sync, tmp_path):
        write_dir(image(0), tmp_path / "app:v1")
        with Registry() as other:
            assert sync(src="dir", dest="docker", source="app:v1", to=other.host).code == 0
            assert other.tags["app"]["v1"] == image(0).digest

    def test_a_folder_without_a_tag_becomes_latest(self, sync, tmp_path):
        write_dir(image(0), tmp_path / "media" / "app")
        with Registry() as other:
            outcome = sync("--digestfile", "digests", src="dir", dest="docker", source="media", to=other.host)
            assert f'to="docker://{other.host}/app:latest"' in outcome.err
            assert (tmp_path / "digests").read_text() == f"{image(0).digest} docker://{other.host}/app:latest\n"

    def test_a_folder_without_a_tag_does_not_take_the_name_of_another(self, sync, tmp_path):
        write_dir(image(0), tmp_path / "media" / "app")
        write_dir(image(1), tmp_path / "media" / "app:latest")
        with Registry() as other:
            outcome = sync(src="dir", dest="docker", source="media", to=other.host)
            assert (outcome.code, other.tags) == (1, {})
            assert "would both become" in outcome.fatal

    @pytest.mark.parametrize(
        ("source", "fatal"),
        [
            ("none", "Invalid source directory specified: stat none: no such file or directory"),
            ("empty", 'No images to sync found in "empty"'),
        ],
    )
    def test_without_images(self, sync, tmp_path, source, fatal):
        (tmp_path / "empty").mkdir()
        assert sync(src="dir", dest="docker", source=source, to="localhost:1").fatal == fatal

    @pytest.mark.uses("oci")
    def test_layouts(self, sync, tmp_path):
        write_oci_layout({"v1": image(1), "example.com/team/app:v2": image(2)}, tmp_path / "layout")
        with Registry() as other:
            assert sync(src="oci", dest="docker", source="layout", to=f"{other.host}/x").code == 0
            assert set(other.tags["x/layout"]) == {"v1"}
            assert set(other.tags["x/app"]) == {"v2"}

    @pytest.mark.uses("oci")
    def test_layouts_at_both_ends(self, sync, tmp_path):
        write_oci_layout({"v1": image(1), "v2": image(2)}, tmp_path / "layout")
        assert sync(src="oci", dest="oci", source="layout", to="copy").code == 0
        outcome = sync(src="oci", dest="oci", source="layout", to="copy")
        assert outcome.lines.count("Skipping: image already present at destination") == 2
        next((tmp_path / "copy/blobs/sha256").glob(next(iter(image(1).blobs)).encoded)).unlink()
        outcome = sync(src="oci", dest="oci", source="layout", to="copy")
        assert outcome.lines.count("Skipping: image already present at destination") == 1
        assert (tmp_path / "copy/blobs/sha256" / next(iter(image(1).blobs)).encoded).exists()


class TestPruning:
    @pytest.fixture
    def mirror(self, sync, registry):
        """A registry with all four images, of which the source then loses two."""
        with Registry(delete_tags=True) as other:
            assert sync(dest="docker", to=other.host).code == 0
            other.put_image("else", "v1", image(1))
            lose(registry, "v1", "v3")
            yield other

    def test_removes_what_the_source_no_longer_has(self, sync, mirror):
        outcome = sync("--prune", "--yes", dest="docker", to=mirror.host)
        assert outcome.code == 0
        assert set(mirror.tags["app"]) == {"v0", "v2"}
        assert set(mirror.tags["else"]) == {"v1"}
        assert f'msg=Removed image="docker://{mirror.host}/app:v1"' in outcome.err

    def test_needs_to_be_confirmed(self, sync, mirror):
        assert sync("--prune", dest="docker", to=mirror.host).code == 1
        outcome = sync("--prune", "--dry-run", dest="docker", to=mirror.host)
        assert outcome.code == 0
        assert set(mirror.tags["app"]) == {"v0", "v1", "v2", "v3"}
        assert f'msg="Would have removed" image="docker://{mirror.host}/app:v3"' in outcome.err

    def test_removes_nothing_after_a_failure(self, sync, registry, mirror):
        registry.add_fault(Fault("/v2/team/app/manifests/v0", status=403))
        outcome = sync("--prune", "--yes", "--keep-going", "--full", dest="docker", to=mirror.host)
        assert outcome.code == 1
        assert set(mirror.tags["app"]) == {"v0", "v1", "v2", "v3"}
        assert "Nothing is removed" in outcome.err

    def test_removes_nothing_if_tags_cannot_be_listed(self, sync, registry, mirror, tmp_path):
        (tmp_path / "sync.yaml").write_text(
            f"{registry.host}:\n  tls-verify: false\n  images: {{nothing: [], team/app: []}}\n"
        )
        assert sync("--prune", "--yes", src="yaml", source="sync.yaml", dest="docker", to=mirror.host).code == 1
        assert set(mirror.tags["app"]) == {"v0", "v1", "v2", "v3"}

    def test_leaves_the_other_tags_of_a_single_image_alone(self, sync, registry, mirror):
        source = f"{registry.host}/team/app:v0"
        assert sync("--prune", "--yes", dest="docker", source=source, to=mirror.host).code == 0
        assert set(mirror.tags["app"]) == {"v0", "v1", "v2", "v3"}

    def test_heeds_the_choice_of_tags_and_the_suffix(self, sync, registry, mirror):
        args = ("--prune", "--yes", "--append-suffix", "-x")
        assert sync(*args, dest="docker", to=mirror.host).code == 0
        assert sync(*args, "--include-tag", "v0", dest="docker", to=mirror.host).code == 0
        assert set(mirror.tags["app"]) == {"v0", "v1", "v2", "v3", "v0-x"}

    def test_takes_the_manifest_where_tags_cannot_go_alone(self, sync, registry):
        with Registry(delete_tags=False) as other:
            registry.put_image("team/app", "same", image(0))
            assert sync(dest="docker", to=other.host).code == 0
            lose(registry, "v1")
            assert sync("--prune", "--yes", dest="docker", to=other.host).code == 0
            assert set(other.tags["app"]) == {"v0", "v2", "v3", "same"}
            lose(registry, "v1", "same")
            outcome = sync("--prune", "--yes", dest="docker", to=other.host)
            assert outcome.code == 1
            assert "cannot be deleted alone" in outcome.fatal
            assert set(other.tags["app"]) == {"v0", "v2", "v3", "same"}

    def test_removes_folders_that_are_images(self, sync, registry, tmp_path):
        assert sync().code == 0
        for name in ("app:notes", "application:v9"):
            (tmp_path / "out" / name).mkdir()
        (tmp_path / "out" / "app:notes" / "text").write_text("mine")
        (tmp_path / "out" / "app:link").symlink_to(tmp_path / "out" / "app:v0")
        lose(registry, "v1", "v3")
        assert sync("--update", "--prune", "--yes").code == 0
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "app:link",
            "app:notes",
            "app:v0",
            "app:v2",
            "application:v9",
        ]

    @pytest.mark.uses("oci")
    def test_removes_names_from_a_layout(self, sync, registry, tmp_path):
        registry.put_image("other", "v9", image(5))
        assert sync(dest="oci", to="layout").code == 0
        assert sync(dest="oci", source=f"{registry.host}/other", to="layout").code == 0
        lose(registry, "v1", "v3")
        assert sync("--prune", "--yes", dest="oci", to="layout").code == 0
        entries = json.loads((tmp_path / "layout/index.json").read_bytes())["manifests"]
        names = {
            entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries if "annotations" in entry
        }
        assert names == {"app:v0", "app:v2", "other:v9"}

    @pytest.mark.uses("oci")
    def test_names_in_a_layout_that_are_no_tags_are_left_alone(self, sync, registry, tmp_path):
        args = ("--dest-name", "{tag}")
        assert sync(dest="oci", source=f"{registry.host}/team/app:v2", to="layout").code == 0
        assert sync(*args, dest="oci", to="layout").code == 0
        lose(registry, "v1", "v3")
        assert sync(*args, "--prune", "--yes", dest="oci", to="layout").code == 0
        entries = json.loads((tmp_path / "layout/index.json").read_bytes())["manifests"]
        names = {entry.get("annotations", {}).get("org.opencontainers.image.ref.name") for entry in entries}
        assert names - {None} == {"app:v2", "v0", "v2"}

    def test_a_manifest_that_another_tag_names_stays(self, sync, registry):
        args = ("--append-suffix", "-x")
        with Registry(delete_tags=False) as other:
            assert sync(*args, dest="docker", to=other.host).code == 0
            other.put_image("app", "stable", image(1))
            lose(registry, "v1")
            outcome = sync(*args, "--prune", "--yes", dest="docker", to=other.host)
            assert outcome.code == 1
            assert "cannot be deleted alone" in outcome.fatal
            assert {"stable", "v1-x"} <= set(other.tags["app"])

    @pytest.mark.uses("oci")
    @pytest.mark.parametrize("dest", ["dir", "docker", "oci"])
    def test_a_destination_that_is_not_there_yet_has_nothing_to_remove(self, sync, registry, dest):
        to = f"{registry.host}/mirror" if dest == "docker" else "out"
        outcome = sync("--prune", "--dry-run", dest=dest, to=to)
        assert outcome.code == 0
        assert "Would have removed" not in outcome.err
        assert ("level=warning" in outcome.err.partition("\n")[2]) is (dest != "dir")

    def test_names_by_a_template_must_end_with_the_tag(self, sync, mirror):
        args = ("--prune", "--yes", "--dest-name", "x-{tag}")
        assert sync(*args, dest="docker", to=mirror.host).code == 1
        assert sync("--prune", "--yes", "--dest-name", "app:{tag}", dest="docker", to=mirror.host).code == 0
        assert set(mirror.tags["app"]) == {"v0", "v2"}


def lose(registry, *tags: str) -> None:
    """Take tags away from the source."""
    listed = [tag for tag in registry.tags["team/app"] if tag not in tags]
    registry.clear_faults()
    registry.add_fault(
        Fault(
            "/v2/team/app/tags/list",
            body=json.dumps({"name": "team/app", "tags": listed}).encode(),
            headers={"Link": None},
        )
    )


class TestUsage:
    @pytest.mark.parametrize(
        ("args", "fatal"),
        [
            (("a", "b"), "A source transport must be specified"),
            (("--src", "dir", "a", "b"), "A destination transport must be specified"),
            (("--src", "foo", "--dest", "dir", "a", "b"), '"foo" is not a valid source transport'),
            (("--src", "dir", "--dest", "foo", "a", "b"), '"foo" is not a valid destination transport'),
            (("--src", "dir", "--dest", "yaml", "a", "b"), '"yaml" is not a valid destination transport'),
            (
                ("--src", "dir", "--dest", "dir", "a", "b"),
                "sync from 'dir' to 'dir' not implemented, consider using rsync instead",
            ),
            (("--src", "dir", "--dest", "docker", "a"), "Exactly two arguments expected"),
            (
                ("--src", "docker", "--dest", "dir", "docker://busybox", "out"),
                'Cannot obtain a valid image reference for transport "docker" and reference "docker://busybox": '
                "invalid reference format",
            ),
            (("--src", "docker", "--dest", "dir", "--src-creds", "", "a", "b"), "credentials can't be empty"),
            (("--src", "docker", "--dest", "dir", "--all", "--platform", "linux/amd64", "a", "b"), None),
            (("--src", "docker", "--dest", "dir", "--jobs", "-1", "a", "b"), None),
            (("--src", "docker", "--dest", "dir", "--executor", "none", "a", "b"), None),
            (("--src", "docker", "--dest", "dir", "--executor-address", "tcp://x", "a", "b"), None),
            (("--src", "docker", "--dest", "oci-archive", "--jobs", "2", "a", "b"), None),
        ],
    )
    def test_mistakes_are_told_in_one_line(self, run, registry, args, fatal):
        outcome = run("sync", *args)
        assert outcome.code == 1
        assert outcome.fatal.startswith(fatal or "")

    def test_quiet_says_nothing_on_standard_output(self, sync):
        outcome = sync("--quiet")
        assert (outcome.code, outcome.out) == (0, "")


def test_one_slow_image_does_not_hold_up_the_others(sync, registry, tmp_path):
    registry.put_image("slow", "v1", image(8))
    registry.add_fault(Fault("/v2/slow/manifests/*", delay=1.0))
    (tmp_path / "sync.yaml").write_text(
        f"{registry.host}:\n  tls-verify: false\n  images: {{slow: [], team/app: []}}\n"
    )
    start = time.monotonic()
    outcome = sync("--jobs", "2", "--report", "report", src="yaml", source="sync.yaml")
    assert outcome.code == 0
    assert time.monotonic() - start >= 1
    assert [re.sub(r".*/", "", line["destination"]) for line in records(tmp_path / "report")][-1] == "slow:v1"
