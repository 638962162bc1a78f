"""What a run imports, and what it does not: that is how fast it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from transship.testing.images import oci_image, schema2_image
from transship.testing.registry import Registry
from transship.testing.writers import write_dir, write_docker_archive, write_oci_layout

pytestmark = pytest.mark.uses("dir", "docker", "docker-archive", "gzip", "oci")

_CODE = """
import sys
sys.argv = ["transship", *sys.argv[1:]]
from transship.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\nMODULES", *sorted(sys.modules))
"""

_NEVER = {"asyncio", "rich", "pygments", "cryptography", "nacl", "yaml", "re2", "tqdm", "transship.testing"}
_COMPRESSORS = {"isal", "deflate", "zlib_ng", "zstandard"}
_NETWORK = {"httpx", "httpcore", "anyio", "ssl", "http.client", "urllib.request", "email.message", "sqlite3"}
_WORK = {"concurrent.futures", "tarfile", "logging", "subprocess", "transship.copy.run", "transship.policy"}
_OFFLINE = _NEVER | _COMPRESSORS | _NETWORK
_METADATA = {"importlib_metadata"}
_FACADE = {"encodings.idna", "httpx", "anyio", "certifi", "http.client", "urllib.request", "email.message"}
_RARE = {"locale", "random", "transship.image.schema1", "transship.image.schema1_signature"}
_LITTLE = _OFFLINE | _WORK | _METADATA | _RARE
_ASKING = _NEVER | _METADATA | _COMPRESSORS | _WORK - {"logging"} | {"sqlite3"} | _FACADE | _RARE

_OPEN = "--tls-verify=false docker://{host}/app"
_COPY = "copy --insecure-policy --src-tls-verify=false --dest-tls-verify=false"


def _modules(*args: str) -> set[str]:
    result = subprocess.run([sys.executable, "-c", _CODE, *args], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("MODULES ")]
    return set(line.split()[1:])


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    write_docker_archive({"example.com/app:1.0": schema2_image()}, tmp_path / "archive.tar")
    write_dir(oci_image(), tmp_path / "folder")


@pytest.fixture
def host(layout):
    """A registry with the repository ``app``."""
    with Registry() as registry:
        registry.put_image("app", "v1", oci_image())
        yield registry.host


@pytest.mark.parametrize(
    ("command", "plugins", "forbidden"),
    [
        ("--version", "", _LITTLE | {"click", "json", "transship.discovery", "hashlib"}),
        ("__complete bash copy --dest-", "", _LITTLE | {"transship.cli.application"}),
        ("__complete bash inspect oci:layout:", "oci", _LITTLE),
        ("copy --help", "", _LITTLE - {"locale"} | {"json", "hashlib"}),
        ("manifest-digest folder/manifest.json", "", _LITTLE),
        ("policy init", "", _OFFLINE),
        ("plugins", "", _LITTLE - _METADATA - {"email.message", "locale", "random"}),
        ("list-tags oci:layout", "oci", _LITTLE),
        ("inspect oci:layout:v1", "oci", _LITTLE),
        ("tree oci:layout:v1", "oci", _LITTLE | {"html", "transship.cli.pictures.page"}),
        ("tree --json oci:layout:v1", "oci", _LITTLE | {"html", "transship.cli.pictures.drawing"}),
        ("diff oci:layout:v1 dir:folder", "oci dir", _LITTLE | {"html", "transship.cli.pictures.page"}),
        (f"{_COPY} oci:layout:v1 dir:out", "oci dir", _OFFLINE | _METADATA | _RARE | {"tarfile", "tempfile", "shutil"}),
        (f"{_COPY} dir:folder oci:out:x", "dir oci", _OFFLINE | _METADATA | _RARE | {"tarfile", "tempfile"}),
        (f"{_COPY} docker-archive:archive.tar oci:out:x", "docker_archive oci gzip", _NEVER | _NETWORK),
        ("inspect " + _OPEN + ":v1", "docker", _ASKING),
        ("inspect --raw " + _OPEN + ":v1", "docker", _ASKING),
        ("list-tags " + _OPEN, "docker", _ASKING),
        ("delete " + _OPEN + ":v1", "docker", _NEVER | _COMPRESSORS | {"tarfile", "sqlite3", "transship.copy.run"}),
        (_COPY + " docker://{host}/app:v1 dir:out", "docker dir", _NEVER | _FACADE | _COMPRESSORS | {"tarfile"}),
        (_COPY + " oci:layout:v1 docker://{host}/new:v1", "docker oci", _NEVER | _COMPRESSORS | {"tarfile"}),
        (
            "sync --insecure-policy --src-tls-verify=false --src docker --dest dir {host}/app out",
            "docker dir",
            _NEVER | _FACADE | _COMPRESSORS | {"tarfile"},
        ),
        ("logout --all", "docker", _LITTLE),
    ],
)
def test_command_imports_only_what_it_needs(host, command, plugins, forbidden):
    modules = _modules(*command.format(host=host).split())
    assert modules & forbidden == set()
    packages = {name for name in modules if name.startswith("transship_") and "." not in name}
    assert packages == {f"transship_{plugin}" for plugin in plugins.split()}


def test_command_imports_no_other_command(layout):
    modules = _modules("inspect", "oci:layout:v1")
    assert "transship.cli.inspect" in modules
    assert not modules & {"transship.cli.copy", "transship.cli.plugins", "transship.cli.layers", "transship.cli.sync"}


def test_package_itself_brings_neither_engine_nor_command_line():
    code = "import sys, transship; print(*[name for name in sys.modules if name.startswith('transship.')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
