"""Real servers, and this machine's settings kept away."""

from __future__ import annotations

import contextlib
import itertools
import sys
from pathlib import Path

import pytest
import s3fs
from fsspec.config import conf

from transship.plugin.shared import Shared

sys.path.insert(0, str(Path(__file__).parent))

from fsspec_servers import CREDENTIALS, S3Server, SshServer

_number = itertools.count()


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
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ssh(tmp_path_factory):
    """An SSH server, whose key and user key fsspec's configuration knows."""
    server = SshServer(tmp_path_factory.mktemp("ssh"))
    conf["sftp"] = {"key_filename": str(server.user_key), "allow_agent": False, "look_for_keys": False}
    yield server
    server.stop()
    del conf["sftp"]


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """An S3 endpoint with the bucket ``images``."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.make_bucket("images")
    filesystem = s3fs.S3FileSystem(endpoint_url=server.endpoint, skip_instance_cache=True, use_listings_cache=False)
    server.filesystem = filesystem
    yield server
    filesystem.close_session(filesystem.loop, filesystem.s3)
    server.stop()


@pytest.fixture(scope="module")
def shared():
    """What the images of one run have in common, such as connections."""
    with contextlib.closing(Shared()) as shared:
        yield shared


@pytest.fixture
def new_name():
    return f"place-{next(_number)}"
