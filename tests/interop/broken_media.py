"""Media that are broken or hostile, one defect each, by name."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transship.image.digest import digest_of
from transship.image.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from transship.testing.images import Image, oci_image, oci_index
from transship.testing.writers import write_dir, write_docker_archive, write_oci_archive, write_oci_layout

Files = dict[str, bytes]
MEDIA = ("oci", "oci-archive", "dir")
TAG = "v1"
OUTSIDE = "outside"


@dataclass(frozen=True)
class Broken:
    """``make`` writes a medium into an empty folder and gives a reference to it.

    ``destination`` is the transport to copy to, ``""``: any. ``code`` is the exit code.
    """

    make: Callable[[Path], str]
    destination: str = ""
    code: int = 1


CASES: dict[str, Broken] = {}


def case(name: str, *, destination: str = "", code: int = 1) -> Callable[[Callable[[Path], str]], None]:
    """Take the function as a way to make the medium ``name``."""

    def take(make: Callable[[Path], str]) -> None:
        assert name not in CASES, name
        CASES[name] = Broken(make, destination, code)

    return take


# What is broken in any medium


class Medium:
    """An image as files by name, for one of ``MEDIA``, before it is written."""

    def __init__(self, kind: str, image: Image) -> None:
        self.kind = kind
        self.files: Files = {}
        self.image = image
        for digest, data in image.all_blobs.items():
            self.files[self.blob_name(str(digest))] = data
        for instance in image.instances:
            self.put_blob(instance.manifest)
            if kind == "dir":
                self.files[f"{instance.digest.encoded}.manifest.json"] = instance.manifest
        self.put_manifest(image.manifest, image.media_type)

    def blob_name(self, digest: str) -> str:
        algorithm, _, encoded = digest.partition(":")
        return encoded if self.kind == "dir" else f"blobs/{algorithm}/{encoded}"

    def put_blob(self, data: bytes) -> str:
        digest = str(digest_of(data))
        self.files[self.blob_name(digest)] = data
        return digest

    def put_manifest(self, data: bytes, media_type: str = OCI_MANIFEST, **entry: Any) -> None:
        """Make ``data`` the manifest that the reference names; ``entry`` changes what the index says of it."""
        if self.kind == "dir":
            self.files |= {"manifest.json": data, "version": b"Directory Transport Version: 1.1\n"}
            return
        named = {
            "mediaType": media_type,
            "digest": self.put_blob(data),
            "size": len(data),
            "annotations": {"org.opencontainers.image.ref.name": TAG},
        }
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named | entry]}
        self.files |= {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}

    def write(self, folder: Path) -> str:
        if self.kind == "oci-archive":
            write_tar(folder / "a.tar", self.files)
            return f"oci-archive:{folder}/a.tar:{TAG}"
        for name, data in self.files.items():
            (folder / "medium" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "medium" / name).write_bytes(data)
        return f"dir:{folder}/medium" if self.kind == "dir" else f"oci:{folder}/medium:{TAG}"


def write_tar(path: Path, files: Mapping[str, bytes], *more: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in [*((tarfile.TarInfo(name), data) for name, data in files.items()), *more]:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def layer_of(members: dict[str, Any]) -> dict[str, Any]:
    return members["layers"][1]


def manifest_defect(name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """A manifest that ``change`` makes, as bytes or by changing the members; the media take turns."""
    kind = MEDIA[len(CASES) % len(MEDIA)]

    @case(f"{kind}: manifest: {name}")
    def make(folder: Path) -> str:
        medium = Medium(kind, oci_image())
        members = json.loads(medium.image.manifest)
        data = change(members)
        medium.put_manifest(data if isinstance(data, bytes) else json.dumps(members).encode())
        return medium.write(folder)


BAD_DIGESTS = {
    "leads out": "sha256:../../outside",
    "absolute": "sha256:/etc/passwd",
    "short": "sha256:" + "0" * 63,
    "in capitals": "sha256:" + "A" * 64,
    "of an unknown algorithm": "md5:" + "0" * 32,
    "an algorithm that leads out": "../../x:" + "0" * 64,
    "a number": 5,
    "null": None,
}
for why, bad_digest in BAD_DIGESTS.items():
    manifest_defect(f"digest {why}", lambda members, bad=bad_digest: layer_of(members).update(digest=bad))
manifest_defect("digest of the config leads out", lambda members: members["config"].update(digest="sha256:../x"))
manifest_defect("digest of other bytes", lambda members: layer_of(members).update(digest=str(digest_of(b"x"))))

BAD_SIZES: dict[str, Any] = {
    "too small": 5,
    "too big": 500_000,
    "negative": -1,
    "a fraction": 1.5,
    "a text": "600",
    "huge": 10**30,
    "true": True,
    "null": None,
}
for why, bad_size in BAD_SIZES.items():
    manifest_defect(f"size {why}", lambda members, bad=bad_size: layer_of(members).update(size=bad))
    if why in ("too small", "too big"):
        manifest_defect(f"size of the config {why}", lambda members, bad=bad_size: members["config"].update(size=bad))
manifest_defect(
    "size of 10,000 digits",
    lambda members: json.dumps(members).encode().replace(b": 2,", b": " + b"9" * 10_000 + b",", 1),
)
manifest_defect("layers are no list", lambda members: members.update(layers={"0": {}}))
manifest_defect("layer is a text", lambda members: members.update(layers=["sha256:" + "0" * 64]))
manifest_defect("config is a text", lambda members: members.update(config="x"))
manifest_defect("no config", lambda members: members.pop("config") and None)
manifest_defect("media type is a number", lambda members: layer_of(members).update(mediaType=5))
manifest_defect("URLs are no texts", lambda members: layer_of(members).update(urls=[1]))
manifest_defect("manifest and index at once", lambda members: members.update(manifests=[]))
manifest_defect("another media type inside", lambda members: members.update(mediaType=OCI_INDEX))
manifest_defect("empty", lambda members: b"")
manifest_defect("no JSON", lambda members: b"<html>")
manifest_defect("cut", lambda members: json.dumps(members).encode()[:-20])
manifest_defect("a list", lambda members: b"[]")
manifest_defect("trailing data", lambda members: json.dumps(members).encode() + b"{}")
manifest_defect("invalid UTF-8", lambda members: json.dumps(members).encode().replace(b"sha256", b"sha\xff56", 1))
manifest_defect("NaN", lambda members: json.dumps(members | {"x": float("nan")}).encode())
manifest_defect("nested deeply", lambda members: b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
manifest_defect("duplicate keys", lambda members: json.dumps(members).encode().replace(b"{", b'{"config": {},', 1))
manifest_defect("over 4 MiB", lambda members: json.dumps(members | {"x": "x" * (4 << 20)}).encode())


def blob_defect(name: str, change: Callable[[Files, str, str], None]) -> None:
    """A medium whose files ``change`` breaks, given the names of the config and the second layer; for all media."""

    def maker(kind: str) -> Callable[[Path], str]:
        def make(folder: Path) -> str:
            medium = Medium(kind, oci_image())
            members = json.loads(medium.image.manifest)
            config, layer = (medium.blob_name(each["digest"]) for each in (members["config"], layer_of(members)))
            change(medium.files, config, layer)
            return medium.write(folder)

        return make

    for kind in MEDIA:
        case(f"{kind}: {name}")(maker(kind))


def flipped(data: bytes) -> bytes:
    return data[:50] + bytes([data[50] ^ 1]) + data[51:]


blob_defect("layer missing", lambda files, config, layer: files.pop(layer) and None)
blob_defect("config missing", lambda files, config, layer: files.pop(config) and None)
blob_defect("layer with a flipped bit", lambda files, config, layer: files.update({layer: flipped(files[layer])}))
blob_defect("config with a flipped bit", lambda files, config, layer: files.update({config: flipped(files[config])}))
blob_defect("layer too long", lambda files, config, layer: files.update({layer: files[layer] + b"x"}))
blob_defect("layer cut", lambda files, config, layer: files.update({layer: files[layer][:-9]}))
blob_defect("layer empty", lambda files, config, layer: files.update({layer: b""}))


def layer_defect(name: str, change: Callable[[bytes], bytes]) -> None:
    """A layer with a true digest and size whose bytes are broken, for a destination that must decompress it."""
    kind = MEDIA[len(CASES) % len(MEDIA)]

    @case(f"{kind}: {name}", destination="docker-archive")
    def make(folder: Path) -> str:
        medium = Medium(kind, oci_image())
        members = json.loads(medium.image.manifest)
        layer = layer_of(members)
        data = change(medium.files[medium.blob_name(layer["digest"])])
        layer.update(digest=medium.put_blob(data), size=len(data))
        medium.put_manifest(json.dumps(members).encode())
        return medium.write(folder)


layer_defect("gzip cut", lambda data: data[:-9])
layer_defect("gzip cut in its header", lambda data: data[:5])
layer_defect("gzip with a wrong checksum", lambda data: data[:-8] + bytes(4) + data[-4:])
layer_defect("gzip with garbage inside", lambda data: data[:40] + b"\xff" * 40 + data[80:])
layer_defect("gzip with garbage behind", lambda data: data + b"garbage")
layer_defect("gzip of other content", lambda data: gzip.compress(b"x" * 5000))
layer_defect("gzip bomb", lambda data: gzip.compress(bytes(300 << 20), 1))
layer_defect("not compressed, against the diff ID", lambda data: bytes(10240))


# Indexes


def index_defect(name: str, change: Callable[[Medium, list[dict[str, Any]]], Any], *, code: int = 1) -> None:
    """An index whose entries ``change`` breaks; the media take turns."""
    kind = MEDIA[len(CASES) % len(MEDIA)]

    @case(f"{kind}: index: {name}", code=code)
    def make(folder: Path) -> str:
        medium = Medium(kind, oci_index())
        members = json.loads(medium.image.manifest)
        change(medium, members["manifests"])
        medium.put_manifest(json.dumps(members).encode(), OCI_INDEX)
        return medium.write(folder)


def all_entries(**changes: Any) -> Callable[[Medium, list[dict[str, Any]]], None]:
    return lambda medium, entries: [entry.update(changes) for entry in entries] and None


def drop_instances(medium: Medium, entries: list[dict[str, Any]]) -> None:
    for instance in medium.image.instances:
        for name in [name for name in medium.files if instance.digest.encoded in name]:
            del medium.files[name]


def nest(medium: Medium, entries: list[dict[str, Any]]) -> None:
    data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    digest = medium.put_blob(data)
    medium.files[f"{digest[7:]}.manifest.json"] = data
    platform = {"architecture": "amd64", "os": "linux"}
    entries[:] = [{"mediaType": OCI_INDEX, "digest": digest, "size": len(data), "platform": platform}]


index_defect("no platform fits", all_entries(platform={"architecture": "mips", "os": "plan9"}))
index_defect("digest leads out", all_entries(digest="sha256:../../outside"))
index_defect("size negative", all_entries(size=-1))
index_defect("size wrong", all_entries(size=7))
index_defect("platform is a text", all_entries(platform="linux/amd64"))
index_defect("instances are missing", drop_instances)
index_defect("index in the index", nest)
index_defect("empty", lambda medium, entries: entries.clear())


# Layouts in folders


def layout_defect(name: str, *, code: int = 1, suffix: str = f":{TAG}") -> Callable[[Callable[[Path], Any]], None]:
    """Take a function that breaks a written layout."""

    def take(change: Callable[[Path], Any]) -> None:
        @case(f"oci: {name}", code=code)
        def make(folder: Path) -> str:
            write_oci_layout({TAG: oci_image()}, folder / "medium")
            outside = folder / OUTSIDE
            outside.mkdir()
            for file in list((folder / "medium").rglob("*")):
                if file.is_file():
                    (outside / file.name).write_bytes(file.read_bytes())
            change(folder / "medium")
            return f"oci:{folder}/medium{suffix}"

    return take


def replace(path: Path, by: str) -> None:
    """Put something there that is no regular file of the medium."""
    target = path.parent
    if path.is_dir():
        path.rename(path.with_name("moved"))
    else:
        path.unlink()
    root = next(folder for folder in path.parents if folder.name == "medium").parent
    match by:
        case "a FIFO":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a link to a device":
            path.symlink_to("/dev/zero")
        case "a link that leads out":
            path.symlink_to(root / OUTSIDE / path.name)
        case "a relative link that leads out":
            path.symlink_to(os.path.relpath(root / OUTSIDE / path.name, target))
        case "a link to itself":
            path.symlink_to(path.name)


STRANGE = (
    "a FIFO",
    "a folder",
    "a link to a device",
    "a link that leads out",
    "a relative link that leads out",
    "a link to itself",
)


def named_blob(layout: Path, which: str) -> Path:
    image = oci_image()
    members = json.loads(image.manifest)
    digests = {
        "manifest": str(image.digest),
        "config": members["config"]["digest"],
        "layer": layer_of(members)["digest"],
    }
    return layout / "blobs" / "sha256" / digests[which][7:]


for strange in STRANGE:
    layout_defect(f"index.json is {strange}")(lambda path, by=strange: replace(path / "index.json", by))
    which = ("manifest", "config", "layer")[len(CASES) % 3]
    layout_defect(f"{which} is {strange}")(lambda path, by=strange, which=which: replace(named_blob(path, which), by))
layout_defect("folder of blobs leads out")(
    lambda path: (
        [replace(path / "blobs" / "sha256", "a folder"), (path / "blobs" / "sha256").rmdir()]
        and (path / "blobs" / "sha256").symlink_to(path.parent / OUTSIDE)
    )
)
layout_defect("no index.json")(lambda path: (path / "index.json").unlink())
INDEX_FILES: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"nonsense",
    "a list": b"[]",
    "cut": b'{"schemaVersion":2,"manifests":[{',
    "over 4 MiB": b'{"manifests":[' + b" " * (4 << 20) + b"]}",
    "nested deeply": b'{"manifests":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "with duplicate keys": b'{"schemaVersion":2,"manifests":[],"manifests":[]}',
    "a manifest too": b'{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}',
    "of entries that are texts": b'{"schemaVersion":2,"manifests":["sha256:0"]}',
    "of strange entries": b'{"manifests":[{"digest":[],"size":{},"mediaType":7,"annotations":'
    b'{"org.opencontainers.image.ref.name":"v1"}}]}',
    "with surrogates": b'{"manifests":[{"digest":"\\ud800","mediaType":"\\udfff"}],"\\ud800":1}',
}
for why, content in INDEX_FILES.items():
    layout_defect(f"index.json {why}", code=2 if why in ("with surrogates",) else 1)(
        lambda path, content=content: (path / "index.json").write_bytes(content)
    )


def entry_defect(name: str, **changes: Any) -> None:
    @layout_defect(f"entry of index.json: {name}")
    def change(path: Path) -> None:
        index = json.loads((path / "index.json").read_bytes())
        index["manifests"][0].update(changes)
        (path / "index.json").write_text(json.dumps(index))


entry_defect("digest leads out", digest="sha256:../../outside/index.json")
entry_defect("digest of other bytes", digest=str(digest_of(b"x")))
entry_defect("size too small", size=3)
entry_defect("size huge", size=10**20)
entry_defect("size is a text", size="3")
entry_defect("media type unknown", mediaType="text/plain")
entry_defect("media type of an index", mediaType=OCI_INDEX)
entry_defect("media type of Docker", mediaType=DOCKER_MANIFEST)
layout_defect("name that is not there", code=2, suffix=":other")(lambda path: None)
layout_defect("position that is not there", suffix=":@1")(lambda path: None)


@layout_defect("an empty folder")
def _(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.mkdir()


@layout_defect("a file in place of the folder")
def _(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.write_bytes(b"file")


@layout_defect("nothing there")
def _(path: Path) -> None:
    path.rename(path.with_name("moved"))


# Archives


def archive_defect(kind: str, name: str, *, code: int = 1, suffix: str = "") -> Callable[[Callable[[Path], Any]], None]:
    """Take a function that breaks a written archive of the transport ``kind``."""

    def take(change: Callable[[Path], Any]) -> None:
        @case(f"{kind}: {name}", code=code)
        def make(folder: Path) -> str:
            path = folder / "a.tar"
            if kind == "oci-archive":
                write_oci_archive({TAG: oci_image()}, path)
            else:
                write_docker_archive({"example.org/app:v1": oci_image()}, path)
            (folder / "index.json").write_bytes(b"outside")
            change(path)
            return f"{kind}:{path}{suffix}"

    return take


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


def raw_header(name: str, **fields: tuple[int, bytes]) -> bytes:
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    for offset, data in fields.values():
        block[offset : offset + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


METADATA = {"oci-archive": "index.json", "docker-archive": "manifest.json"}


def without(path: Path, name: str, *more: tuple[tarfile.TarInfo, bytes]) -> None:
    files = members_of(path)
    del files[name]
    write_tar(path, files, *more)


def append(path: Path, data: bytes) -> None:
    write_tar(path, members_of(path))
    with tarfile.open(path) as archive:
        end = max(member.offset_data + -(-member.size // 512) * 512 for member in archive)
    path.write_bytes(path.read_bytes()[:end] + data + bytes(1024))


LINKS = {
    "a symbolic link that is absolute": (tarfile.SYMTYPE, "/etc/hostname"),
    "a symbolic link that leads out": (tarfile.SYMTYPE, "../index.json"),
    "a symbolic link to itself": (tarfile.SYMTYPE, "./index.json"),
    "a hard link that leads out": (tarfile.LNKTYPE, "../index.json"),
    "a hard link that is absolute": (tarfile.LNKTYPE, "/etc/hostname"),
    "a device": (tarfile.CHRTYPE, ""),
    "a FIFO": (tarfile.FIFOTYPE, ""),
    "a folder": (tarfile.DIRTYPE, ""),
}


def tar_defects(kind: str) -> None:
    """What both archives suffer from."""
    name = METADATA[kind]
    for why, (member_kind, link) in LINKS.items():
        archive_defect(kind, f"{name} is {why}")(
            lambda path, k=member_kind, link=link: without(path, name, special(name, k, link))
        )
    archive_defect(kind, f"no {name}")(lambda path: without(path, name))
    archive_defect(kind, "nothing there")(lambda path: path.unlink())
    archive_defect(kind, "an empty file")(lambda path: path.write_bytes(b""))
    archive_defect(kind, "no tar")(lambda path: path.write_bytes(b"not an archive\n" * 1000))
    archive_defect(kind, "cut in a member")(lambda path: path.write_bytes(path.read_bytes()[:2000]))
    archive_defect(kind, "compressed and cut")(lambda path: path.write_bytes(gzip.compress(path.read_bytes())[:-1000]))
    archive_defect(kind, "compressed garbage")(lambda path: path.write_bytes(gzip.compress(b"garbage" * 1000)))
    archive_defect(kind, "an empty archive")(lambda path: path.write_bytes(bytes(10240)))
    archive_defect(kind, "a sparse member")(lambda path: append(path, raw_header(name, kind=(156, b"S"))))
    archive_defect(kind, "a negative size")(lambda path: append(path, raw_header("x", size=(124, b"\xff" * 12))))
    archive_defect(kind, "a huge size")(lambda path: append(path, raw_header("x", size=(124, b"\x80" + b"\xff" * 11))))
    archive_defect(kind, "a long name without end")(
        lambda path: append(path, raw_header("x", kind=(156, b"L"), size=(124, b"77777777777\0")))
    )
    archive_defect(kind, "a long name of 2 MiB")(
        lambda path: append(
            path, raw_header("x", kind=(156, b"L"), size=(124, b"%011o\0" % (2 << 20))) + b"n" * (2 << 20)
        )
    )
    archive_defect(kind, "long names one after the other")(
        lambda path: append(path, (raw_header("x", kind=(156, b"L"), size=(124, b"%011o\0" % 512)) + b"n" * 512) * 100)
    )
    archive_defect(kind, "200,000 members")(lambda path: append(path, raw_header("x") * 200_000))

    @archive_defect(kind, "a folder")
    def _(path: Path) -> None:
        path.unlink()
        path.mkdir()


tar_defects("oci-archive")
archive_defect("oci-archive", "name that is not there", code=2, suffix=":other")(lambda path: None)
archive_defect("oci-archive", "a second index.json that is broken")(
    lambda path: write_tar(path, members_of(path), (tarfile.TarInfo("./index.json"), b"broken"))
)
archive_defect("oci-archive", "manifest is a link that leads out")(
    lambda path: without(
        path,
        f"blobs/sha256/{oci_image().digest.encoded}",
        special(f"blobs/sha256/{oci_image().digest.encoded}", tarfile.SYMTYPE, "../../../index.json"),
    )
)

tar_defects("docker-archive")
archive_defect("docker-archive", "name that is not there", suffix=":example.org/app:v2")(lambda path: None)
archive_defect("docker-archive", "position that is not there", suffix=":@1")(lambda path: None)


def listing_defect(name: str, change: Callable[[dict[str, Any], Files], Any]) -> None:
    """A docker archive whose ``manifest.json`` or files ``change`` breaks."""

    @archive_defect("docker-archive", name)
    def _(path: Path) -> None:
        files = members_of(path)
        (item,) = json.loads(files.pop("manifest.json"))
        listing = change(item, files)
        files["manifest.json"] = listing if isinstance(listing, bytes) else json.dumps([item]).encode()
        write_tar(path, files)


def with_config(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], Files], None]:
    def changed(item: dict[str, Any], files: Files) -> None:
        config = json.loads(files[item["Config"]])
        data = change(config)
        files[item["Config"]] = data if isinstance(data, bytes) else json.dumps(config).encode()

    return changed


LISTINGS: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"nonsense",
    "an object": b"{}",
    "of texts": b'["x"]',
    "without images": b"[]",
    "null": b"null",
    "of wrong types": b'[{"Config":5,"RepoTags":[],"Layers":[]}]',
    "of layers that are no texts": b'[{"Config":"c","RepoTags":[],"Layers":[1]}]',
    "nested deeply": b"[" * 100_000 + b"]" * 100_000,
    "over 1 MiB": b"[" + b" " * (1 << 20) + b"]",
}
for why, content in LISTINGS.items():
    listing_defect(f"manifest.json {why}", lambda item, files, content=content: content)
listing_defect("two images and none chosen", lambda item, files: json.dumps([item, item]).encode())
listing_defect("layer missing", lambda item, files: files.pop(item["Layers"][1]) and None)
listing_defect("config missing", lambda item, files: files.pop(item["Config"]) and None)
listing_defect("config leads out", lambda item, files: item.update(Config="../index.json"))
listing_defect("config is absolute", lambda item, files: item.update(Config="/etc/hostname"))
listing_defect("layer leads out", lambda item, files: item.update(Layers=[item["Layers"][0], "../../etc/hostname"]))
listing_defect("fewer layers than diff IDs", lambda item, files: item["Layers"].pop() and None)
listing_defect("more layers than diff IDs", lambda item, files: item["Layers"].append(item["Layers"][0]))
listing_defect("one layer twice for two diff IDs", lambda item, files: item.update(Layers=item["Layers"][:1] * 2))
listing_defect("layers in the wrong order", lambda item, files: item["Layers"].reverse())


def layer_file_defect(name: str, change: Callable[[bytes], bytes]) -> None:
    """A docker archive whose second layer ``change`` breaks."""

    def changed(item: dict[str, Any], files: Files) -> None:
        layer = item["Layers"][1]
        files[layer] = change(files[layer])

    listing_defect(name, changed)


layer_file_defect("layer is not what its diff ID says", lambda data: bytes(10240))
layer_file_defect("layer is cut gzip", lambda data: gzip.compress(data)[:-9])
layer_file_defect("layer is a gzip bomb", lambda data: gzip.compress(bytes(300 << 20), 1))
listing_defect("config no JSON", with_config(lambda config: b"nonsense"))
listing_defect("config a list", with_config(lambda config: b"[]"))
listing_defect("config over 4 MiB", with_config(lambda config: b" " * (5 << 20)))
listing_defect("config nested deeply", with_config(lambda config: b'{"a":' * 100_000 + b"1" + b"}" * 100_000))
listing_defect("no rootfs", with_config(lambda config: config.pop("rootfs") and None))
listing_defect("diff IDs are numbers", with_config(lambda config: config["rootfs"].update(diff_ids=[1, 2])))
listing_defect("diff ID leads out", with_config(lambda config: config["rootfs"].update(diff_ids=["sha256:../x"] * 2)))


# Folders


def dir_defect(name: str) -> Callable[[Callable[[Path], Any]], None]:
    """Take a function that breaks a written folder."""

    def take(change: Callable[[Path], Any]) -> None:
        @case(f"dir: {name}")
        def make(folder: Path) -> str:
            write_dir(oci_image(), folder / "medium")
            write_dir(oci_image(), folder / OUTSIDE)
            change(folder / "medium")
            return f"dir:{folder}/medium"

    return take


VERSIONS = {
    "garbage": b"garbage",
    "empty": b"",
    "of the future": b"Directory Transport Version: 9.9\n",
    "of absurd digits": b"Directory Transport Version: 1." + b"1" * 500 + b"\n",
    "over its bound": b"Directory Transport Version: 1.1\n" * 1000,
    "no UTF-8": b"\xff\xfe\n\n\n",
}
for why, content in VERSIONS.items():
    dir_defect(f"version {why}")(lambda path, content=content: (path / "version").write_bytes(content))
dir_defect("no manifest")(lambda path: (path / "manifest.json").unlink())
for strange in STRANGE:
    for which in ("manifest.json", "version"):
        dir_defect(f"{which} is {strange}")(lambda path, by=strange, which=which: replace(path / which, by))
    dir_defect(f"layer is {strange}")(
        lambda path, by=strange: replace(path / layer_of(json.loads(oci_image().manifest))["digest"][7:], by)
    )
dir_defect("signature is a FIFO")(lambda path: os.mkfifo(path / "signature-1"))
dir_defect("signature over its bound")(lambda path: (path / "signature-1").write_bytes(bytes(5 << 20)))
dir_defect("signature is nothing known")(lambda path: (path / "signature-1").write_bytes(b"nonsense"))


@dir_defect("an empty folder")
def _(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.mkdir()


@dir_defect("nothing there")
def _(path: Path) -> None:
    path.rename(path.with_name("moved"))


@dir_defect("a file in place of the folder")
def _(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.write_bytes(b"file")
