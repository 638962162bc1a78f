"""What a sync takes and what it calls it, compared with what the real skopeo says it would do."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import peers
import pytest

from transship.errors import TransshipError
from transship.sync.document import load_sync_document
from transship.sync.naming import destination_name, folder_base, registry_base
from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import write_dir

pytestmark = pytest.mark.interop

TAGS = ("1.0", "1.10", "10", "2", "latest", "v1", "v2", "v2-rc.1", "jammy-2024", "A_b", "x" * 128)
IMAGE = oci_image()
COPIED = re.compile(r'msg="(?:Would have copied|Copying) image ref .*? from="(?P<source>[^"]*)" to="(?P<target>[^"]*)"')

PATTERNS = (
    *(r"^1\.[0-9]+$", "1", "^v", "v?2", "^$", "", r"\d{2,}", r"\pL{2}", "(?i)^a", r"^[^-]*$", r"\Qv2-rc.\E"),
    *("^(1|2)", "(?P<x>v)", r"[[:alpha:]]+[[:digit:]]$", r"\bv2\b", r"x{100}", "^(?:latest|v[0-9]+)$", r"\.1\z", "1.0"),
    *("(?s).", r"\x31", "a??", "^^1", "(|v)1$", r"[\d_]", "(?U)v.+$"),
)

DOCUMENTS = {
    "all tags": "{host}: {{tls-verify: false, images: {{app: []}}}}",
    "null is all tags": "{host}: {{tls-verify: false, images: {{app: }}}}",
    "tags and digests": "{host}: {{tls-verify: false, images: {{app: [v1, '{digest}', 1.10, 2], team/app: [v1]}}}}",
    "what is no tag": "{host}: {{tls-verify: false, images: {{app: ['a b', ~, '@v1', 'sha256:abc', v1]}}}}",
    "no tag at all": "{host}: {{tls-verify: false, images: {{app: ['a b']}}}}",
    "no repository": "{host}: {{tls-verify: false, images: {{APP: [v1], 'app:v1': [], 'a//b': [v1], app: [v2]}}}}",
    "keys that are not known": "{host}: {{tls-verify: false, images: {{app: [v1]}}, a: [1], transship: {{newest: 1}}}}",
    "no images": "{host}: {{tls-verify: false}}",
    "nothing": "{host}:",
    "empty": "",
    "expression and list": "{host}: {{tls-verify: no, images: {{app: [v1]}}, images-by-tag-regex: {{team/app: '^v'}}}}",
    "number as expression": "{host}: {{tls-verify: off, images-by-tag-regex: {{app: 1.1}}}}",
    "no match": "{host}: {{tls-verify: false, images-by-tag-regex: {{app: '^zz'}}}}",
    "aliases": "{host}: {{tls-verify: false, images: {{app: &t [v1, v2], team/other: *t}}}}",
    "merge": "o.tld: &o {{images: {{x: [v1]}}}}\np.tld: {{<<: *o, cert-dir: /nowhere}}",
    "short name": "docker.io: {{images: {{busybox: [v1], team/box: [v2]}}}}",
    "path in the registry": "{host}/team: {{tls-verify: false, images: {{app: [v1]}}}}",
    "credentials": "{host}: {{tls-verify: false, credentials: {{username: 1, x: y}}, images: {{app: [v1]}}}}",
    "second document": "{host}: {{tls-verify: false, images: {{app: [v1]}}}}\n---\nx.tld: {{images: {{y: [v1]}}}}",
    "a scalar for a list": "{host}: {{images: {{app: v1}}}}",
    "a list for a mapping": "{host}: {{images: [app]}}",
    "a list of registries": "- {host}",
    "a list in a list": "{host}: {{images: {{app: [[v1]]}}}}",
    "truth as text": "{host}: {{tls-verify: 'false', images: {{app: [v1]}}}}",
    "no truth": "{host}: {{tls-verify: perhaps, images: {{app: [v1]}}}}",
    "a list as credentials": "{host}: {{credentials: [a], images: {{app: [v1]}}}}",
    "a mapping as expression": "{host}: {{images-by-tag-regex: {{app: {{}}}}}}",
    "not YAML": "{host}: [",
}

TO_DOCKER = ("docker", "dest.example/ns", False)


class Told(NamedTuple):
    """Whether it can be done, and the names of sources and targets."""

    ok: bool
    pairs: list[tuple[str, str]]


class Silent:
    """Takes what is logged."""

    def warning(self, message: str, **fields: str) -> None:
        """Nothing."""

    def error(self, message: str, **fields: str) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        for repository in ("app", "team/app", "team/other"):
            for tag in TAGS:
                running.put_image(repository, tag, IMAGE)
        yield running


def skopeo(*arguments: str, cwd: Path, dry_run: bool = True) -> Told:
    done = subprocess.run(
        [peers.SKOPEO, "--insecure-policy", "sync", *(["--dry-run"] if dry_run else []), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_PROXY": "*"},
    )
    return Told(done.returncode == 0, sorted(COPIED.findall(done.stdout + done.stderr)))


def planned(document: str, destination: str, scoped: bool) -> Told:
    try:
        sources = load_sync_document(document.encode(), "sync.yml", Silent())
    except TransshipError:
        return Told(False, [])
    pairs = []
    for source in sources:
        for one in source.repositories:
            tags = one.settings.selection.select(TAGS)
            images = one.images or [replace(one.repository, tag=tag) for tag in tags]
            for image in images:
                name = destination_name(destination, registry_base(image, scoped=scoped))
                pairs.append((f"//{image.familiar_name}{str(image).removeprefix(image.name)}", name))
    return Told(True, sorted(pairs))


def as_skopeo(told: Told, transport: str) -> Told:
    mark = "//" if transport == "docker" else ""
    return Told(told.ok, sorted((f"docker:{one}", f"{transport}:{mark}{two}") for one, two in told.pairs))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_means_what_it_means_to_skopeo(name, registry, tmp_path):
    document = DOCUMENTS[name].format(host=registry.host, digest=IMAGE.digest)
    (tmp_path / "sync.yml").write_text(document)
    theirs = skopeo("--src", "yaml", "--dest", "docker", "sync.yml", "dest.example/ns", cwd=tmp_path)
    assert as_skopeo(planned(document, "dest.example/ns", False), "docker") == theirs


def test_expressions_find_what_they_find_for_skopeo(registry, tmp_path):
    for number, _ in enumerate(PATTERNS):
        for tag in TAGS:
            registry.put_image(f"r{number}", tag, IMAGE)
    lines = [f"  r{number}: '{pattern}'" for number, pattern in enumerate(PATTERNS)]
    document = f"{registry.host}:\n tls-verify: false\n images-by-tag-regex:\n" + "\n".join(lines) + "\n"
    (tmp_path / "sync.yml").write_text(document)
    theirs = skopeo("--src", "yaml", "--dest", "docker", "sync.yml", "dest.example", cwd=tmp_path)
    assert len(theirs.pairs) > len(PATTERNS)
    assert as_skopeo(planned(document, "dest.example", False), "docker") == theirs


@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize("destination", ["out", "./out//x/", "../out", "a/../b", "{tmp}/out", "."])
def test_folders_have_the_names_that_skopeo_gives_them(destination, scoped, registry, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    destination = destination.format(tmp=tmp_path)
    document = f"{registry.host}: {{tls-verify: false, images: {{app: [v1, '{IMAGE.digest}'], team/other: [v2]}}}}"
    (work / "sync.yml").write_text(document)
    flags = ["--scoped"] if scoped else []
    theirs = skopeo("--src", "yaml", "--dest", "dir", *flags, "sync.yml", destination, cwd=work, dry_run=False)
    ours = planned(document, destination, scoped)
    assert len(theirs.pairs) == 3
    assert as_skopeo(ours, "dir") == theirs
    written = {path.parent for path in tmp_path.rglob("manifest.json")}
    assert written == {(work / name).resolve() for _, name in ours.pairs}


@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize(
    "source",
    [
        "usb",
        "usb/",
        "./usb",
        "{tmp}/usb",
        "{tmp}/usb/",
        "usb/team",
        "usb/app:v1",
        "{tmp}/usb/app:v1",
        "../usb",
        "usb//",
        "usb/app:v1/",
    ],
)
def test_images_from_folders_have_the_names_that_skopeo_gives_them(source, scoped, tmp_path):
    work = tmp_path / "work"
    for place in (tmp_path, work):
        for name in ("app:v1", "team/app:v2", "team/sub/other"):
            folder = place / "usb" / name
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_dir(IMAGE, folder)
    source = source.format(tmp=tmp_path)
    flags = ["--scoped"] if scoped else []
    theirs = skopeo("--src", "dir", "--dest", "docker", *flags, source, "dest.example/ns", cwd=work)
    assert theirs.pairs
    for image, target in theirs.pairs:
        name = destination_name("dest.example/ns", folder_base(source, image.removeprefix("dir:"), scoped=scoped))
        tagged = name if ":" in name else f"{name}:latest"
        assert f"docker://{tagged}" == target
