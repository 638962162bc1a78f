"""Eight processes at one place at the same time: no entry gets lost, and who looks never sees a half state.

With TRANSSHIP_FULL_MEASURES=1 there are 20 rounds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from processes import Nursery

from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import REF_NAME, write_dir, write_docker_archive, write_oci_archive, write_oci_layout

pytestmark = pytest.mark.interop

ROUNDS = range(20 if os.environ.get("TRANSSHIP_FULL_MEASURES") else 1)
CROWD = 8
TIMEOUT = 60
WARM_UP = """
import transship.cli.copy, transship.copy.run
import transship_dir.transport, transship_oci.transport, transship_oci_archive.transport, transship_docker.transport
import transship_docker.commands, transship_docker_archive.transport
"""
NAMES = [f"app-{number}" for number in range(CROWD)]
IMAGES = [oci_image(architecture=f"arch{number}") for number in range(CROWD)]
OLD = oci_image()

rounds = pytest.mark.parametrize("turn", ROUNDS)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    for name, image in zip(NAMES, IMAGES, strict=True):
        write_dir(image, folder / name)
    return [f"dir:{folder / name}" for name in NAMES]


@pytest.fixture
def registry():
    with Registry(auth="basic", users={"user": "secret"}) as registry:
        yield registry


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    """Runs transship with several commands at the same time; gives their exit codes."""
    with contextlib.closing(Nursery(WARM_UP, timeout=TIMEOUT)) as nursery:

        def run(*commands, **environment):
            ends = nursery.transship_at_once(tmp_path_factory.mktemp("output"), *commands, **environment)
            assert all(len(end.stderr.splitlines()) == (end.code != 0) for end in ends), ends
            return [end.code for end in ends]

        yield run


@contextlib.contextmanager
def watched(look):
    """Call ``look`` again and again, and raise what it raises."""
    seen, over = [], threading.Event()

    def watch():
        while not over.is_set():
            try:
                look()
            except Exception as error:
                seen.append(error)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    look()
    for error in seen:
        raise error


def entries(index):
    return {entry["annotations"][REF_NAME]: entry["digest"] for entry in index["manifests"]}


def check_hash(name, data):
    assert hashlib.sha256(data).hexdigest() == name


@rounds
def test_one_layout_gets_all_images_and_loses_one(tmp_path, sources, at_once, turn):
    layout = tmp_path / "layout"
    write_oci_layout({"old": OLD, "kept": OLD, NAMES[0]: OLD}, layout)

    def look():
        blobs = layout / "blobs/sha256"
        found = entries(json.loads((layout / "index.json").read_bytes()))
        assert found["kept"] == str(OLD.digest)
        for digest in found.values():
            manifest = (blobs / digest[7:]).read_bytes()
            check_hash(digest[7:], manifest)
            members = json.loads(manifest)
            for blob in (members["config"], *members["layers"]):
                check_hash(blob["digest"][7:], (blobs / blob["digest"][7:]).read_bytes())

    copies = [["copy", source, f"oci:{layout}:{name}"] for source, name in zip(sources[1:], NAMES[1:], strict=True)]
    with watched(look):
        codes = at_once(*copies, ["delete", f"oci:{layout}:old"])
    assert codes == [0] * CROWD
    expected = {name: str(image.digest) for name, image in zip(NAMES, IMAGES, strict=True)}
    index = json.loads((layout / "index.json").read_bytes())
    assert entries(index) == {**expected, NAMES[0]: str(OLD.digest), "kept": str(OLD.digest)}
    assert not list(layout.rglob(".*.tmp")) + list(layout.rglob("*.partial"))


@rounds
def test_one_credential_file_gets_all_entries_and_loses_one(tmp_path, registry, at_once, turn):
    file = tmp_path / "auth.json"
    own = {"auths": {f"{registry.host}/old": {"auth": "eDp5"}, "other.example": {"auth": "eDp5"}}, "unknown": [1]}
    file.write_text(json.dumps(own))
    file.chmod(0o600)

    def look():
        found = json.loads(file.read_bytes())
        assert found["unknown"] == [1]
        assert "other.example" in found["auths"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    who = ["--tls-verify=false", "--username=user", "--password=secret", f"--authfile={file}"]
    logins = [["login", *who, f"{registry.host}/{name}"] for name in NAMES[1:]]
    with watched(look):
        codes = at_once(*logins, ["logout", f"--authfile={file}", f"{registry.host}/old"])
    assert codes == [0] * CROWD
    expected = {f"{registry.host}/{name}" for name in NAMES[1:]} | {"other.example"}
    assert json.loads(file.read_bytes())["auths"].keys() == expected
    assert os.listdir(tmp_path) == ["auth.json"]


@rounds
def test_one_cache_gets_what_all_have_seen(tmp_path, sources, registry, at_once, turn):
    cache = tmp_path / "cache"
    file = cache / "transship/blob-locations-v1.sqlite"

    def look():
        if file.exists():
            with contextlib.closing(sqlite3.connect(file, timeout=TIMEOUT)) as connection:
                assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]

    to = ["--dest-tls-verify=false", "--dest-creds=user:secret"]
    places = [f"docker://{registry.host}/{name}:1" for name in NAMES]
    with watched(look):
        codes = at_once(
            *(["copy", *to, source, place] for source, place in zip(sources, places, strict=True)),
            XDG_CACHE_HOME=str(cache),
        )
    assert codes == [0] * CROWD
    with contextlib.closing(sqlite3.connect(file)) as connection:
        noted = set(connection.execute("SELECT repository, digest FROM locations"))
    assert noted >= {(name, str(blob)) for name, image in zip(NAMES, IMAGES, strict=True) for blob in image.blobs}


def names_in(archive):
    """The digests of the images of an archive by their names; all members must be whole."""
    with tarfile.open(archive) as file:
        members = {member.name: file.extractfile(member).read() for member in file if member.isreg()}
    for name, data in members.items():
        if len(stem := Path(name).name.partition(".")[0]) == 64:
            check_hash(stem, data)
    if "index.json" in members:
        return entries(json.loads(members["index.json"]))
    return {name: item["Config"] for item in json.loads(members["manifest.json"]) for name in item["RepoTags"]}


def config_file(image):
    return f"{hashlib.sha256(image.config).hexdigest()}.json"


@rounds
def test_one_oci_archive_is_always_that_of_one_writer(tmp_path, sources, at_once, turn):
    path = tmp_path / "images.tar"
    write_oci_archive({"old": OLD}, path)
    possible = [{"old": str(OLD.digest)}]
    possible += [{name: str(image.digest)} for name, image in zip(NAMES, IMAGES, strict=True)]

    def look():
        assert names_in(path) in possible

    with watched(look):
        codes = at_once(
            *(["copy", source, f"oci-archive:{path}:{name}"] for source, name in zip(sources, NAMES, strict=True))
        )
    assert codes == [0] * CROWD
    assert names_in(path) in possible[1:]
    assert os.listdir(tmp_path) == ["images.tar"]


@rounds
@pytest.mark.parametrize("is_there", [False, True])
def test_one_docker_archive_has_what_the_winners_have_written(tmp_path, sources, at_once, turn, is_there):
    path = tmp_path / "images.tar"
    if is_there:
        write_docker_archive({"docker.io/library/old:latest": OLD}, path)

    def look():
        if path.exists():
            names_in(path)

    append = ["--dest-opt", "append=true"] if is_there else []
    with watched(look):
        codes = at_once(
            *(
                ["copy", *append, source, f"docker-archive:{path}:{name}:latest"]
                for source, name in zip(sources, NAMES, strict=True)
            )
        )
    assert set(codes) <= {0, 1}
    won = {name for name, code in zip(NAMES, codes, strict=True) if code == 0}
    found = names_in(path)
    assert found.keys() == {f"docker.io/library/{name}:latest" for name in won | ({"old"} if is_there else set())}
    assert len(won) == 1 or (is_there and won)
    assert os.listdir(tmp_path) == ["images.tar"]


@rounds
def test_one_folder_is_always_the_image_of_one_writer(tmp_path, sources, at_once, turn):
    folder = tmp_path / "image"
    write_dir(OLD, folder)
    codes = at_once(*(["copy", source, f"dir:{folder}"] for source in sources))
    assert codes == [0] * CROWD
    manifest = (folder / "manifest.json").read_bytes()
    (image,) = (image for image in IMAGES if image.manifest == manifest)
    for digest, data in image.blobs.items():
        assert (folder / digest.encoded).read_bytes() == data
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "version",
        *(digest.encoded for digest in image.blobs),
    }
    assert os.listdir(tmp_path) == ["image"]
