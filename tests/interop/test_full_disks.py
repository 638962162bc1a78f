"""Disks that are full or that nobody can write to: one line that names the file, and what was there stays as it was.

The disks are mounted where the user may do that. Else the size of a file is what is limited, and folders get a mode
that keeps their owner out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from processes import Nursery, transship
from registries import TestingRegistry

from transship.testing.images import image_of_layers, oci_image
from transship.testing.layers import gzipped, tar_of
from transship.testing.writers import write_dir, write_docker_archive, write_oci_archive, write_oci_layout

pytestmark = pytest.mark.interop

KIB = 1 << 10
FULL = bool(os.environ.get("TRANSSHIP_FULL_MEASURES"))
TIMEOUT = 30
FATAL = re.compile(r'time="[^"]+" level=fatal msg=.+\n')
OLD = oci_image()
WARM_UP = """
import transship.cli.copy, transship.cli.delete, transship.cli.sync, transship.cli.policy, transship.copy.run
import transship_dir.transport, transship_oci.transport, transship_oci_archive.transport, transship_docker.transport
import transship_docker_archive.transport, transship_docker.commands, transship_gzip.compression
"""


def image_of(*sizes):
    generator = random.Random(3)
    return image_of_layers([tar_of({f"file-{number}": generator.randbytes(size)}) for number, size in enumerate(sizes)])


NEW = image_of(60 * KIB, 30 * KIB)
SIZES = range(8 * KIB, 240 * KIB, (4 if FULL else 20) * KIB)
"""Too small for anything, for the second layer, for the manifest, and big enough."""
TRANSPORTS = ("dir", "oci", "oci-archive", "docker-archive")


def mount(folder, *options):
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="module")
def nursery():
    with contextlib.closing(Nursery(WARM_UP, timeout=TIMEOUT)) as nursery:
        yield nursery


@pytest.fixture
def source(tmp_path):
    write_dir(NEW, tmp_path / "source")
    return f"dir:{tmp_path}/source"


class Disk:
    """A folder that takes ``size`` bytes, or at least no file of more."""

    def __init__(self, folder, size):
        self.folder, self._size = folder, size
        folder.mkdir()
        self._is_mounted = mount(folder, "-o", f"size={size}")

    def run(self, nursery, output, *arguments, **environment):
        if self._is_mounted:
            return nursery.transship(output, *arguments, **environment)
        return transship(output, *arguments, limit=self._size, **environment)

    def close(self):
        if self._is_mounted:
            subprocess.run(["umount", self.folder], check=True)


@pytest.fixture
def disks(tmp_path):
    """Makes disks."""
    with contextlib.ExitStack() as stack:

        def make(size):
            disk = Disk(tmp_path / f"disk-{size}", size)
            stack.callback(disk.close)
            return disk

        yield make


def write(transport, image, path):
    if transport == "dir":
        write_dir(image, path)
    elif transport == "docker-archive":
        write_docker_archive({"docker.io/library/old:latest": image}, path)
    else:
        {"oci": write_oci_layout, "oci-archive": write_oci_archive}[transport]({"old": image}, path)


def destination(transport, path):
    name = {"dir": "", "docker-archive": ":docker.io/library/new:latest"}.get(transport, ":new")
    return f"{transport}:{path}{name}"


def contents(folder):
    """All files without a dot name that hold something; of a layout the index and the blobs that it leads to."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
    found = {name: data for name, data in found.items() if data and Path(name).name[0] != "."}
    for name, data in found.items():
        if len(hexadecimal := Path(name).name) == 64:
            assert hashlib.sha256(data).hexdigest() == hexadecimal
    found.pop("place/oci-layout", b"")
    if any(name.startswith("place/blobs") for name in found):
        index = found.get("place/index.json", b"")
        found = {n: d for n, d in found.items() if not n.startswith("place/blobs") or Path(n).name.encode() in index}
    return found


def check_refused(done, *named):
    assert done.code == 1, done
    assert FATAL.fullmatch("".join(line for line in done.stderr.splitlines(True) if "level=info" not in line)), done
    assert any(str(path) in done.stderr for path in named), done


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_copy_to_a_full_disk_changes_nothing(tmp_path, nursery, disks, source, transport, is_there):
    codes = []
    for size in SIZES:
        disk = disks(size + (40 * KIB if is_there else 0))
        if is_there:
            write(transport, OLD, disk.folder / "place")
        before = contents(disk.folder)
        append = ["--dest-opt=append=true"] if transport == "docker-archive" and is_there else []
        place = destination(transport, disk.folder / "place")
        done = disk.run(nursery, tmp_path, "copy", *append, source, place)
        codes.append(done.code)
        if done.code:
            check_refused(done, disk.folder)
            assert contents(disk.folder) == before
    assert (codes[0], codes[-1]) == (1, 0), codes


def login(registry, file):
    return ["login", "--tls-verify=false", "--username=user", "--password=secret", f"--authfile={file}", registry.host]


@pytest.fixture
def registry():
    with TestingRegistry(auth="basic", users={"user": "secret"}, anonymous=("pull", "push")) as registry:
        registry.put_image("app", "v1", NEW)
        yield registry


def fill(disk):
    with contextlib.suppress(OSError), open(disk.folder / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(KIB))


def writing_commands(folder, source, registry):
    """Commands that write besides images, each with the file it writes, which has something in it."""
    (folder / "auth.json").write_text('{"auths": {"old.example": {"auth": "eDp5"}}}')
    for name in ("digest", "report"):
        (folder / name).write_text("old")
    yield login(registry, folder / "auth.json"), "auth.json"
    yield [f"--policy={folder}/policy.json", "policy", "init"], "policy.json"
    yield ["logout", f"--authfile={folder}/auth.json", "old.example"], "auth.json"
    yield ["copy", f"--digestfile={folder}/digest", source, f"dir:{folder.parent}/elsewhere"], "digest"
    yield ["copy", f"--report={folder}/report", source, f"dir:{folder.parent}/elsewhere"], "report"
    sync = ["sync", "--src-tls-verify=false", "--src=docker", "--dest=dir", f"{registry.host}/app"]
    yield [*sync, str(folder)], ""
    yield [*sync, f"--digestfile={folder}/digests", f"{folder.parent}/elsewhere-1"], "digests"
    yield [*sync, f"--report={folder}/reports", f"{folder.parent}/elsewhere-2"], "reports"


def test_other_files_on_a_full_disk_stay_as_they_were(tmp_path, nursery, disks, source, registry):
    disk = disks(16 * KIB)
    commands = list(writing_commands(disk.folder, source, registry))
    fill(disk)
    before = contents(disk.folder)
    for arguments, file in commands:
        check_refused(disk.run(nursery, tmp_path, *arguments), disk.folder / file)
        assert contents(disk.folder) == before


def test_full_temporary_folder_is_named(tmp_path, nursery, disks, source):
    disk = disks(16 * KIB)
    packed = tmp_path / "packed"
    write_oci_archive({"new": NEW}, tmp_path / "plain")
    packed.write_bytes(gzipped((tmp_path / "plain").read_bytes()))
    done = disk.run(
        nursery, tmp_path, f"--tmpdir={disk.folder}", "copy", f"oci-archive:{packed}", f"dir:{tmp_path}/new"
    )
    check_refused(done, disk.folder, packed)
    assert not (tmp_path / "new").exists()
    assert not os.listdir(disk.folder)


def test_full_temporary_folder_does_not_stop_an_upload(tmp_path, nursery, disks, source, registry):
    disk = disks(4 * KIB)
    options = ["--dest-tls-verify=false", f"docker://{registry.host}/new:v1"]
    done = disk.run(nursery, tmp_path, f"--tmpdir={disk.folder}", "copy", source, *options)
    assert done.code == 0, done
    assert registry.tags["new"]["v1"] == NEW.digest


def test_full_cache_does_not_stop_a_copy(tmp_path, nursery, disks, source, registry):
    disk = disks(4 * KIB)
    fill(disk)
    options = ["--dest-tls-verify=false", f"docker://{registry.host}/new:v1"]
    done = disk.run(nursery, tmp_path, "copy", source, *options, XDG_CACHE_HOME=str(disk.folder))
    assert (done.code, done.stderr) == (0, "")


@contextlib.contextmanager
def read_only(folder):
    """Let nobody write below ``folder``, not even root."""
    if os.geteuid():
        for path in (folder, *filter(Path.is_dir, folder.rglob("*"))):
            path.chmod(0o555)
        yield
        for path in (folder, *filter(Path.is_dir, folder.rglob("*"))):
            path.chmod(0o755)
    else:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_copy_to_what_is_read_only_changes_nothing(tmp_path, nursery, source, transport, is_there):
    folder = tmp_path / "disk"
    folder.mkdir()
    if is_there:
        write(transport, OLD, folder / "place")
    before = contents(folder)
    append = ["--dest-opt=append=true"] if transport == "docker-archive" and is_there else []
    with read_only(folder):
        done = nursery.transship(tmp_path, "copy", *append, source, destination(transport, folder / "place"))
    check_refused(done, folder)
    assert contents(folder) == before


def test_other_files_that_are_read_only_stay_as_they_were(tmp_path, nursery, source, registry):
    folder = tmp_path / "disk"
    folder.mkdir()
    write_oci_layout({"old": OLD}, folder / "place")
    commands = [*writing_commands(folder, source, registry), (["delete", f"oci:{folder}/place:old"], "place")]
    before = contents(folder)
    with read_only(folder):
        ends = [(nursery.transship(tmp_path, *arguments), file) for arguments, file in commands]
    for done, file in ends:
        check_refused(done, folder / file)
    assert contents(folder) == before


def test_what_is_read_only_can_be_read_and_needs_no_cache(tmp_path, nursery, registry):
    folder = tmp_path / "disk"
    folder.mkdir()
    for transport in TRANSPORTS:
        write(transport, OLD, folder / transport)
    with read_only(folder):
        for transport in TRANSPORTS:
            target = f"docker://{registry.host}/{transport}:v1"
            source = f"{transport}:{folder}/{transport}"
            done = nursery.transship(
                tmp_path, "copy", "--dest-tls-verify=false", source, target, XDG_CACHE_HOME=str(folder)
            )
            assert (done.code, done.stderr) == (0, "")
