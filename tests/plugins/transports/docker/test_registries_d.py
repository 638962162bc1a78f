from __future__ import annotations

import pytest

from transship.errors import TransportError
from transship.image.reference import DockerReference
from transship_docker import configuration
from transship_docker.registries_d import SignatureStorage

DIGEST = "sha256:" + "a" * 64


def load(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return SignatureStorage.load(str(folder))


def reference(text):
    return DockerReference.parse(text).with_default_tag()


SECTIONS = """
default-docker:
  lookaside: https://default.example/base
docker:
  example.com:
    sigstore: https://host.example
    sigstore-staging: file:///staging
    use-sigstore-attachments: true
    unknown: [1]
  example.com/ns:
    lookaside: https://ns.example
    sigstore: https://old.example
  example.com/ns/a:1:
    lookaside-staging: file:///one
  example.com/ns/b@{digest}:
    use-sigstore-attachments: false
  "*.wild.example":
    lookaside: file:///wild
"""


@pytest.mark.parametrize(
    ("text", "read_url", "write_url", "attachments"),
    [
        ("other.org/x", "https://default.example/base/x", "https://default.example/base/x", False),
        ("example.com/x", "https://host.example/x", "file:///staging/x", True),
        ("example.com/ns/x", "https://ns.example/ns/x", "https://ns.example/ns/x", True),
        ("example.com/ns/a:1", "https://ns.example/ns/a", "file:///one/ns/a", True),
        ("example.com/ns/a:2", "https://ns.example/ns/a", "https://ns.example/ns/a", True),
        (f"example.com/ns/b@{DIGEST}", "https://ns.example/ns/b", "https://ns.example/ns/b", False),
        (f"example.com/ns/b:1@{DIGEST}", "https://ns.example/ns/b", "https://ns.example/ns/b", False),
        ("a.b.wild.example:5000/x", "file:///wild/x", "file:///wild/x", False),
    ],
)
def test_each_value_comes_from_the_most_specific_section_that_has_it(tmp_path, text, read_url, write_url, attachments):
    storage = load(tmp_path, all=SECTIONS.format(digest=DIGEST))
    assert storage.lookaside(reference(text)) == (read_url, write_url)
    assert storage.uses_attachments(reference(text)) is attachments


@pytest.mark.parametrize(
    ("user", "expected"),
    [("0", "file:///var/lib/containers/sigstore/x"), ("1000", "file:///h/.local/share/containers/sigstore/x")],
)
def test_the_store_without_configuration_depends_on_the_user(tmp_path, monkeypatch, user, expected):
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("_CONTAINERS_ROOTLESS_UID", user)
    storage = SignatureStorage.load(str(tmp_path / "missing"))
    assert storage.lookaside(reference("example.com/x")) == (expected, expected)


def test_the_users_folder_is_used_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(configuration, "system_folder", lambda: str(tmp_path / "etc"))
    for folder, base in (("etc/containers", "file:///system"), (".config/containers", "file:///own")):
        (tmp_path / folder / "registries.d").mkdir(parents=True)
        (tmp_path / folder / "registries.d" / "x.yaml").write_text(f"default-docker: {{lookaside: '{base}'}}")
    assert SignatureStorage.load().lookaside(reference("a")).read_url == "file:///own/library/a"


def test_files_are_merged_and_other_files_ignored(tmp_path):
    (tmp_path / "x.txt").write_text("nonsense: [")
    storage = load(
        tmp_path,
        a="docker: {a.example: {lookaside: 'file:///a'}}",
        b="docker: {b.example: {lookaside: 'file:///b'}}",
        empty="",
        nothing="docker:\ndefault-docker:\n",
    )
    assert storage.lookaside(reference("a.example/x")).read_url == "file:///a/x"
    assert storage.lookaside(reference("b.example/x")).read_url == "file:///b/x"


@pytest.mark.parametrize(
    ("text", "what"),
    [("docker: {a.example: {}}", '"docker" namespace "a.example"'), ("default-docker: {}", '"default-docker"')],
)
def test_what_two_files_define_is_refused(tmp_path, text, what):
    with pytest.raises(TransportError, match=f"{what} defined both in"):
        load(tmp_path, a=text, b=text)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "docker: [",
        "docker: []",
        "- docker",
        "docker: {a.example: x}",
        "docker: {a.example: {lookaside: [x]}}",
        "default-docker: {use-sigstore-attachments: maybe}",
        "docker: {a.example: {}, a.example: {}}",
        "docker: !!python/object/apply:os.getcwd []",
        "docker: &x {a.example: *x}",
        "a: 2020-99-99",
        "a: !!int ''",
        "a: !!bool x",
        "a: !!binary é",
        "? [a]\n: b",
        "a: " + "9" * 10_000,
        "a: " + "[" * 10_000,
        "a: " + "[" * 60 + "]" * 60,
        "a: " + "x" * (1 << 20),
        BOMB,
        "a: *nowhere",
        "a: 1\n---\nb: 2",
    ],
)
def test_broken_or_hostile_files_end_the_command(tmp_path, text):
    with pytest.raises(TransportError):
        load(tmp_path, x=text)


def test_aliases_within_bounds_are_fine(tmp_path):
    storage = load(
        tmp_path, x="default-docker: &x {lookaside: 'file:///x'}\ndocker: {a.example: {<<: *x}, b.example: *x}\n"
    )
    assert storage.lookaside(reference("a.example/y")).read_url == "file:///x/y"


@pytest.mark.parametrize("url", ["ftp://a.example", "relative", "http://[", "javascript:x"])
def test_urls_that_cannot_be_used_are_refused(tmp_path, url):
    storage = load(tmp_path, x=f"default-docker: {{lookaside: '{url}'}}")
    with pytest.raises(TransportError, match="Invalid signature storage URL"):
        storage.lookaside(reference("a"))
