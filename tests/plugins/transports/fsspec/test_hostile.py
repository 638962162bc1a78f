"""Layouts and servers that mean no good."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from fsspec.config import conf

from transship.errors import TransportError
from transship.plugin.context import Context
from transship.testing.images import oci_image
from transship.testing.writers import write_oci_layout
from transship_fsspec import zip_store
from transship_fsspec.transport import FsspecTransport

pytestmark = pytest.mark.uses("dir", "oci")

LAYER = next(iter(oci_image().blobs))


@pytest.fixture
def inspect(transship_cli):
    return lambda url, *flags: transship_cli("inspect", *flags, f"fsspec:{url}")


@pytest.fixture
def copy(transship_cli):
    return lambda source, destination: transship_cli("--insecure-policy", "copy", "--quiet", source, destination)


@pytest.fixture(params=["file", "sftp"])
def layout(request, tmp_path, transship_cli):
    """A layout with an image, as a folder and as a URL, and a folder beside it."""
    folder = tmp_path / "layout"
    write_oci_layout({"v1": oci_image()}, folder)
    (tmp_path / "outside").mkdir()
    if request.param == "file":
        return folder, f"file://{folder}"
    ssh = request.getfixturevalue("ssh")
    _believe(ssh.known_hosts.read_text())
    return folder, ssh.url(folder)


def _believe(known_hosts: str) -> None:
    folder = Path(os.environ["HOME"], ".ssh")
    folder.mkdir(exist_ok=True)
    (folder / "known_hosts").write_text(known_hosts)


@pytest.mark.parametrize("name", ["index.json", "oci-layout", "blobs", "blobs/sha256", f"blobs/sha256/{LAYER.encoded}"])
def test_links_that_lead_out_of_a_layout_are_not_followed(layout, name, tmp_path, copy):
    folder, url = layout
    assert copy(f"fsspec:{url}:v1", "oci:before:v1").code == 0
    (folder / name).rename(tmp_path / "outside" / "it")
    (folder / name).symlink_to(tmp_path / "outside" / "it")
    assert copy(f"fsspec:{url}:v1", "oci:after:v1").code == 1


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_nothing_is_written_through_a_link(layout, name, tmp_path, copy):
    folder, url = layout
    write_oci_layout({"v1": oci_image(architecture="arm64")}, tmp_path / "other")
    (folder / name).rename(tmp_path / "outside" / "it")
    (folder / name).symlink_to(tmp_path / "outside" / "it")
    before = sorted((tmp_path / "outside").rglob("*"))
    assert copy(f"oci:{tmp_path}/other:v1", f"fsspec:{url}:v2").code == 1
    assert sorted((tmp_path / "outside").rglob("*")) == before


def test_pipe_in_the_place_of_a_file_is_refused(layout, copy):
    folder, url = layout
    path = folder / "blobs" / "sha256" / LAYER.encoded
    path.unlink()
    os.mkfifo(path)
    assert copy(f"fsspec:{url}:v1", "oci:after:v1").code == 1


@pytest.mark.parametrize("name", ["index.json", "oci-layout", f"blobs/sha256/{oci_image().digest.encoded}"])
def test_what_is_too_large_is_refused(layout, name, inspect):
    folder, url = layout
    with (folder / name).open("ab") as file:
        file.truncate(1 << 40)  # takes no place on the disk
    assert inspect(f"{url}:v1").code == 1


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b"{",
        b'{"schemaVersion": 2, "manifests": 1}',
        b'{"schemaVersion": 2, "manifests": [1]}',
        b'{"schemaVersion": 2, "manifests": [{"mediaType": "x", "digest": "sha256:../../x", "size": 1}]}',
        b'{"schemaVersion": 2, "manifests": [], "manifests": []}',
        b'{"schemaVersion": 2, "manifests": ' + b"[" * 100_000,
        b'{"schemaVersion": 2, "manifests": [], "layers": []}',
    ],
)
def test_broken_index_is_one_line(index, inspect, transship_cli, tmp_path):
    folder, url = tmp_path / "layout", f"file://{tmp_path}/layout"
    write_oci_layout({"v1": oci_image()}, folder)
    (folder / "index.json").write_bytes(index)
    for outcome in (
        inspect(f"{url}:v1"),
        transship_cli("list-tags", f"fsspec:{url}"),
        transship_cli("delete", f"fsspec:{url}:v1"),
    ):
        assert outcome.code in {1, 2}
        assert outcome.err.count("\n") == 1
        assert "Traceback" not in outcome.err
    assert (folder / "index.json").read_bytes() == index


def test_index_that_cannot_be_read_is_not_replaced(layout, copy, tmp_path):
    folder, url = layout
    write_oci_layout({"v1": oci_image(architecture="arm64")}, tmp_path / "other")
    (folder / "index.json").write_bytes(b"{")
    assert copy(f"oci:{tmp_path}/other:v1", f"fsspec:{url}:v2").code == 1
    assert (folder / "index.json").read_bytes() == b"{"


def test_deletion_believes_no_manifest_that_was_changed(layout, copy, transship_cli, tmp_path):
    """Else it would take what another image needs."""
    folder, url = layout
    write_oci_layout({"v2": oci_image(architecture="arm64")}, tmp_path / "other")
    assert copy(f"oci:{tmp_path}/other:v2", f"fsspec:{url}:v2").code == 0
    path = folder / "blobs" / "sha256" / oci_image().digest.encoded
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), "layers": []}).encode())
    blobs = sorted(folder.glob("blobs/sha256/*"))
    outcome = transship_cli("delete", f"fsspec:{url}:v2")
    assert outcome.code == 0
    assert "level=warning" in outcome.err
    assert sorted(folder.glob("blobs/sha256/*")) == blobs


def test_folder_that_becomes_a_link_after_it_was_judged_is_refused(tmp_path):
    write_oci_layout({"v1": oci_image()}, tmp_path / "outside")
    transport = FsspecTransport()
    reference = transport.parse_reference(f"file://{tmp_path}/layout:v1")
    (tmp_path / "layout").symlink_to("outside")
    with pytest.raises(TransportError):
        transport.open_source(reference, Context())


def test_bytes_that_are_not_those_of_the_digest_are_refused(layout, copy):
    folder, url = layout
    path = folder / "blobs" / "sha256" / LAYER.encoded
    path.write_bytes(bytes(len(path.read_bytes())))
    assert copy(f"fsspec:{url}:v1", "dir:after").code == 1


@pytest.fixture
def archive(tmp_path):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")

    def archive(change=lambda names: None, compression=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "layout.zip", "w", compression) as file:
            for path in (tmp_path / "layout").rglob("*"):
                if path.is_file():
                    file.write(path, path.relative_to(tmp_path / "layout"))
            change(file)
        return f"zip://::file://{tmp_path}/layout.zip:v1"

    return archive


def test_archive_of_another_program_is_read(archive, copy):
    assert copy(f"fsspec:{archive()}", "oci:back:v1").code == 0


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["index.json", f"blobs/sha256/{oci_image().digest.encoded}"])
def test_file_that_unpacks_to_a_lot_is_refused(archive, name, inspect):
    def change(file):
        with file.open(name, "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(1 << 20))

    assert inspect(archive(change)).code == 1


def test_archive_with_too_many_files_is_refused(archive, inspect, monkeypatch):
    url = archive(lambda file: [file.writestr(f"file-{number}", b"") for number in range(1000)])
    assert inspect(url).code == 0
    monkeypatch.setattr(zip_store, "DIRECTORY_LIMIT", 50_000)
    assert inspect(url).code == 1


@pytest.mark.parametrize("damage", [0, 100, -30])
def test_damaged_archive_is_one_line(archive, copy, damage, tmp_path):
    url = archive()
    data = bytearray((tmp_path / "layout.zip").read_bytes())
    data[damage:] = bytes(len(data[damage:]))
    (tmp_path / "layout.zip").write_bytes(data)
    outcome = copy(f"fsspec:{url}", "oci:back:v1")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1


def test_ssh_server_with_an_unknown_key_is_refused(ssh, tmp_path, transship_cli, inspect):
    _believe("")
    assert "host" in inspect(f"{ssh.url(tmp_path)}/layout:v1").fatal
    _believe(f"other.example {ssh.known_hosts.read_text().partition(' ')[2]}")
    assert inspect(f"{ssh.url(tmp_path)}/layout:v1").code == 1


def test_ssh_server_with_another_key_than_before_is_refused(ssh, tmp_path, transship_cli, inspect):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    host = ssh.known_hosts.read_text().partition(" ")[0]
    _believe(f"{host} {' '.join((tmp_path / 'key.pub').read_text().split()[:2])}\n")
    assert "another host key" in inspect(f"{ssh.url(tmp_path)}/layout:v1").fatal


def test_file_of_host_keys_can_be_named(ssh, tmp_path, images, transship_cli):
    flags = ("--insecure-policy", "copy", "--dest-opt", f"known-hosts={ssh.known_hosts}")
    assert transship_cli(*flags, f"{images}:one", f"fsspec:{ssh.url(tmp_path)}/layout:v1").code == 0
    missing = ("--insecure-policy", "copy", "--dest-opt", "known-hosts=nowhere")
    assert transship_cli(*missing, f"{images}:one", f"fsspec:{ssh.url(tmp_path)}/layout:v1").code == 1


@pytest.mark.parametrize("command", ["inspect", "list-tags", "tree", "verify", "delete"])
def test_commands_on_one_image_take_the_options_of_its_transport(ssh, tmp_path, transship_cli, command):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    place = f"fsspec:{ssh.url(tmp_path)}/layout"
    line = ("--insecure-policy", command, place if command == "list-tags" else f"{place}:v1")
    assert transship_cli(*line).code == 1
    assert "nope" in transship_cli(*line, "--opt", "nope=1").fatal
    outcome = transship_cli(*line, f"--opt=known-hosts={ssh.known_hosts}")
    assert (outcome.code, outcome.err) == (0, "")


def test_any_host_key_is_believed_only_if_the_configuration_says_so(ssh, tmp_path, transship_cli, inspect, monkeypatch):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    monkeypatch.setitem(conf["sftp"], "host_key_policy", "auto_add")
    assert json.loads(inspect(f"{ssh.url(tmp_path)}/layout:v1").out)["Digest"] == str(oci_image().digest)
