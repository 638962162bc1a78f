"""What skopeo writes is read, and what is written is what skopeo writes."""

from __future__ import annotations

import json
import subprocess

import peers
import pytest

from transship.image.digest import digest_of
from transship.testing.images import image_with_empty_layers, schema2_image
from transship.testing.writers import write_dir, write_docker_archive

pytestmark = pytest.mark.interop


def skopeo(*arguments):
    run = subprocess.run([peers.SKOPEO, "--insecure-policy", *arguments], check=True, capture_output=True)
    return run.stdout


def image_with_odd_config():
    image = schema2_image()
    config = json.loads(image.config)
    config.pop("container_config", None)
    config |= {"container": None, "config": {"Cmd": ["<sh>", "a\u2028b", "\\u00e9/"], "Env": ["A=é&"]}, "os": " x "}
    text = json.dumps(config, indent=3, ensure_ascii=True)[:-1] + ', "container_config" : {"Memory" : 1.50e1} }'
    manifest = json.loads(image.manifest)
    manifest["config"] |= {"size": len(text), "digest": str(digest_of(text.encode()))}
    blobs = {digest: data for digest, data in image.blobs.items() if data != image.config}
    return type(image)(
        json.dumps(manifest).encode(),
        image.media_type,
        {**blobs, digest_of(text.encode()): text.encode()},
        text.encode(),
        image.tars,
    )


@pytest.mark.parametrize(
    "make", [schema2_image, image_with_odd_config, lambda: image_with_empty_layers(schema2_image().media_type)]
)
@pytest.mark.parametrize("name", ["", ":busybox", ":host.tld:5000/a/b:tag"])
def test_the_same_bytes_are_written_as_by_skopeo(make, name, tmp_path, open_destination, store):
    write_dir(make(), tmp_path / "image")
    skopeo("copy", f"dir:{tmp_path}/image", f"docker-archive:{tmp_path}/theirs.tar{name}")
    store(open_destination(f"{tmp_path}/ours.tar{name}"), make())
    assert (tmp_path / "ours.tar").read_bytes() == (tmp_path / "theirs.tar").read_bytes()


def test_additional_tags_are_written_as_by_skopeo(tmp_path, open_destination, store):
    write_dir(schema2_image(), tmp_path / "image")
    tags = ["x/y:1", "busybox:a", "busybox:B"]
    flags = [f"--additional-tag={tag}" for tag in tags]
    skopeo("copy", *flags, f"dir:{tmp_path}/image", f"docker-archive:{tmp_path}/theirs.tar:busybox")
    store(open_destination(f"{tmp_path}/ours.tar:busybox", additional_tags=",".join(tags)), schema2_image())
    assert (tmp_path / "ours.tar").read_bytes() == (tmp_path / "theirs.tar").read_bytes()


@pytest.mark.parametrize("choice", ["x:1", "@1"])
def test_the_same_manifest_is_made_as_by_skopeo(choice, tmp_path, open_source):
    path = tmp_path / "a.tar"
    write_docker_archive({"x:1": schema2_image(), "": schema2_image(architecture="arm64")}, path)
    theirs = skopeo("inspect", "--raw", f"docker-archive:{path}:{choice}")
    assert open_source(f"{path}:{choice}").get_manifest().data == theirs


def test_appended_image_is_read_by_skopeo(tmp_path, open_destination, store):
    path = tmp_path / "a.tar"
    store(open_destination(f"{path}:x:1"), schema2_image())
    store(open_destination(f"{path}:x:2", append="true"), schema2_image(architecture="arm64"))
    for name in ("x:1", "x:2"):
        skopeo("copy", "-q", f"docker-archive:{path}:{name}", f"dir:{tmp_path}/{name[-1]}")
    tags = json.loads(skopeo("list-tags", f"docker-archive:{path}"))["Tags"]
    assert tags == ["docker.io/library/x:1", "docker.io/library/x:2"]
