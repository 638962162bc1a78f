"""The transport keeps the contract of all transports, on every file system that is tested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transship.testing import TransportContract
from transship_fsspec.transport import FsspecTransport


class _OnAnyFileSystem(TransportContract):
    @pytest.fixture
    def transport(self):
        return FsspecTransport()


class TestLocal(_OnAnyFileSystem):
    @pytest.fixture
    def reference_text(self, tmp_path):
        return f"file://{tmp_path}/layout:app"

    @pytest.fixture
    def local_path(self, tmp_path):
        return tmp_path / "layout"


class TestMemory(_OnAnyFileSystem):
    @pytest.fixture
    def reference_text(self, new_name):
        return f"memory://{new_name}/layout:app"

    @pytest.fixture
    def elsewhere_text(self, new_name):
        return f"memory://{new_name}/another:app"


class TestZip(_OnAnyFileSystem):
    @pytest.fixture
    def reference_text(self, tmp_path):
        return f"zip://inside::file://{tmp_path}/layout.zip:app"

    @pytest.fixture
    def local_path(self, tmp_path):
        return tmp_path / "layout.zip"


class TestZipInMemory(_OnAnyFileSystem):
    @pytest.fixture
    def reference_text(self, new_name):
        return f"zip://::memory://{new_name}.zip:app"


class TestSftp(_OnAnyFileSystem):
    @pytest.fixture
    def reference_text(self, ssh, tmp_path, shared):
        self.context = replace(self.context, options={"known-hosts": str(ssh.known_hosts)}, shared=shared)
        return f"{ssh.url(tmp_path)}/layout:app"


class TestS3(_OnAnyFileSystem):
    @pytest.fixture
    def reference_text(self, s3, new_name, shared):
        self.context = replace(self.context, options={"endpoint-url": s3.endpoint}, shared=shared)
        return f"s3://images/{new_name}/layout:app"

    @pytest.fixture
    def elsewhere_text(self, new_name):
        return f"s3://other-images/{new_name}/layout:app"
