"""Real servers, places on every file system that is tested, and this machine's settings kept away."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest
import s3fs
from fsspec.config import conf

from transship.plugin.shared import Shared
from transship.testing.images import oci_image, oci_index
from transship.testing.writers import write_oci_layout

sys.path.insert(0, str(Path(__file__).parent))

from fsspec_servers import CREDENTIALS, S3Server, SshServer

_number = itertools.count()


@dataclass
class Place:
    """A place for a layout that nobody has used yet, and what is in there."""

    url: str
    list: Callable[[], list[str]]
    read: Callable[[str], bytes]


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        for name in ("SSH_AUTH_SOCK", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        for name in [name for name in os.environ if name.startswith("FSSPEC_")]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        conf.clear()
        yield


@pytest.fixture(scope="session")
def ssh(tmp_path_factory):
    """An SSH server, whose user key fsspec's configuration knows."""
    server = SshServer(tmp_path_factory.mktemp("ssh"))
    conf["sftp"] = {"key_filename": str(server.user_key), "allow_agent": False, "look_for_keys": False}
    yield server
    server.stop()
    del conf["sftp"]


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """An S3 endpoint with the bucket ``images``, which fsspec's configuration knows."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.make_bucket("images")
    conf["s3"] = {"endpoint_url": server.endpoint}
    server.filesystem = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    yield server
    server.filesystem.close_session(server.filesystem.loop, server.filesystem.s3)
    server.stop()
    del conf["s3"]


@pytest.fixture(scope="module")
def shared():
    """What the images of one run have in common, such as connections."""
    with contextlib.closing(Shared()) as shared:
        yield shared


@pytest.fixture
def new_name():
    return f"place-{next(_number)}"


@pytest.fixture(params=["file", "memory", "sftp", "s3"])
def place(request, tmp_path, transship_cli, new_name):
    """A place on each file system that can be changed; commands find what they need to get there."""
    folder = tmp_path / "elsewhere" / "layout"
    if request.param == "s3":
        filesystem = request.getfixturevalue("s3").filesystem
        return _remote(f"s3://images/{new_name}", filesystem, f"images/{new_name}")
    if request.param == "memory":
        return _remote(f"memory://{new_name}", fsspec.filesystem("memory"), f"/{new_name}")
    if request.param == "file":
        return _local(f"file://{folder}", folder)
    ssh = request.getfixturevalue("ssh")
    known = Path(os.environ["HOME"], ".ssh")
    known.mkdir()
    (known / "known_hosts").write_bytes(ssh.known_hosts.read_bytes())
    folder.parent.mkdir()
    return _local(ssh.url(folder), folder)


def _local(url: str, folder: Path) -> Place:
    def names() -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())

    return Place(url, names, lambda name: (folder / name).read_bytes())


def _remote(url: str, filesystem, path: str) -> Place:
    def names() -> list[str]:
        return sorted(name.removeprefix(f"{path}/") for name in filesystem.find(path))

    return Place(url, names, lambda name: filesystem.cat_file(f"{path}/{name}"))


@pytest.fixture
def images(tmp_path):
    """A layout with the images ``one`` and ``index``, which have a layer in common, as ``oci:`` has it."""
    write_oci_layout({"one": oci_image(), "index": oci_index()}, tmp_path / "images")
    return f"oci:{tmp_path}/images"
