"""What images are called at the destination."""

from __future__ import annotations

import contextlib
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship.errors import TransshipError
from transship.image.reference import DockerReference
from transship.sync.naming import (
    FIELDS,
    ClaimedNames,
    NameTemplate,
    SourceName,
    clean_path,
    destination_name,
    folder_base,
    registry_base,
)

_DIGEST = "sha256:" + "0123456789abcdef" * 4
_PATHS = st.text(alphabet="ab./:@-", max_size=12)


def _reference(text):
    return DockerReference.parse(text)


@pytest.mark.parametrize(
    ("reference", "scoped", "base"),
    [
        ("host.tld/a/b/app:1", True, "host.tld/a/b/app:1"),
        ("host.tld/a/b/app:1", False, "app:1"),
        ("localhost:5000/app:1", True, "localhost:5000/app:1"),
        ("app:1", True, "docker.io/library/app:1"),
        (f"host.tld/a/app@{_DIGEST}", False, f"app@{_DIGEST}"),
    ],
)
def test_images_from_registries_keep_their_name_or_its_last_component(reference, scoped, base):
    assert registry_base(_reference(reference), scoped=scoped) == base


@pytest.mark.parametrize(
    ("source", "image", "scoped", "base"),
    [
        ("/media/usb", "/media/usb/a/app:1", True, "a/app:1"),
        ("/media/usb/", "/media/usb/a/app:1", False, "app:1"),
        ("/media/usb/app:1", "/media/usb/app:1", True, "app:1"),
        ("/media/usb/app:1/", "/media/usb/app:1", False, "app:1"),
        (".", "a/app:1", True, "a/app:1"),
        ("..", "../a/app:1", True, "a/app:1"),
        ("./usb", "usb/app:1", True, "usb/app:1"),
        ("./usb", "usb/app:1", False, "app:1"),
        ("/", "/app:1", True, "app:1"),
    ],
)
def test_images_from_folders_keep_their_path_below_the_source(source, image, scoped, base):
    assert folder_base(source, image, scoped=scoped) == base


@pytest.mark.parametrize(
    ("destination", "base", "suffix", "name"),
    [
        ("mirror.tld", "app:1", "", "mirror.tld/app:1"),
        ("mirror.tld/ns/", "app:1", "-copy", "mirror.tld/ns/app:1-copy"),
        ("/media/usb", "host/a/app:1", "", "/media/usb/host/a/app:1"),
        ("../usb//x/.", "app:1", "", "../usb/x/app:1"),
        ("usb/../other", "app:1", "", "other/app:1"),
        ("", "app:1", "", "app:1"),
        ("/", "app:1", "", "/app:1"),
        ("usb", "/app//b/./c", "", "usb/app/b/c"),
        ("usb", "..app:1", "", "usb/..app:1"),
    ],
)
def test_names_are_below_the_destination_and_clean(destination, base, suffix, name):
    assert destination_name(destination, base, suffix) == name


@pytest.mark.parametrize(
    ("base", "suffix"),
    [
        *[(base, "") for base in ("..", "a/../../b", "../a", "a/..", "", ".", "/", "a\0b", "a\nb")],
        *[(".", "."), ("a", "/../../b"), ("a", "/b"), ("a", "\x1b[2J")],
    ],
)
def test_other_names_are_refused(base, suffix):
    with pytest.raises(TransshipError) as caught:
        destination_name("/media/usb", base, suffix)
    assert str(caught.value).isprintable()


@given(_PATHS, _PATHS, _PATHS)
def test_no_name_leads_out_of_the_destination(destination, base, suffix):
    with contextlib.suppress(TransshipError):
        name = destination_name(destination, base, suffix)
        root = posixpath.normpath(posixpath.join("/x/y", destination.lstrip("/")))
        target = posixpath.normpath(posixpath.join("/x/y", name.lstrip("/")))
        assert target.startswith(root.rstrip("/") + "/")


@given(_PATHS)
def test_paths_are_cleaned_as_the_system_would(path):
    expected = posixpath.normpath(path)
    assert clean_path(path) == (expected[1:] if expected.startswith("//") else expected)


@given(_PATHS, _PATHS, st.booleans())
def test_any_folders_give_a_name_or_a_clear_error(source, image, scoped):
    with contextlib.suppress(TransshipError):
        destination_name("dest", folder_base(source, posixpath.join(source, image), scoped=scoped))


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{repository}:{tag}", "team/sub/app:1.2"),
        ("{registry}/{repository}{ending}", "host.tld:5000/team/sub/app:1.2"),
        ("{host}/{name}/{tag}", "host.tld/app/1.2"),
        ("{namespace}-{name}:{tag}", "team/sub-app:1.2"),
        ("mirror/{{{name}}}:{tag}", "mirror/{app}:1.2"),
        ("{{name}}", "{name}"),
        ("plain", "plain"),
        ("{tag}{tag}", "1.21.2"),
    ],
)
def test_templates_are_filled(template, name):
    source = SourceName.of_reference(_reference("host.tld:5000/team/sub/app:1.2"))
    assert NameTemplate(template).fill(source) == name


@pytest.mark.parametrize(
    ("source", "template", "name"),
    [
        (SourceName.of_reference(_reference(f"h.tld/app@{_DIGEST}")), "{name}{ending}", f"app@{_DIGEST}"),
        (SourceName.of_reference(_reference(f"h.tld/app@{_DIGEST}")), "{name}:{hex}", f"app:{_DIGEST[7:]}"),
        (SourceName.of_reference(_reference("h.tld/app:1")), "{namespace}/{name}{ending}", "/app:1"),
        (SourceName.of_folder("a/b:1"), "{repository}-x:{tag}", "a/b-x:1"),
        (SourceName.of_folder("a/b"), "{repository}{ending}", "a/b"),
        (SourceName.of_folder(f"b@{_DIGEST}"), "{name}-{digest}", f"b-{_DIGEST}"),
    ],
)
def test_sources_of_every_kind_have_fields(source, template, name):
    assert NameTemplate(template).fill(source) == name


@pytest.mark.parametrize(
    "template",
    [
        *("", "{", "}", "{}", "{name", "name}", "{{name}", "{tags}", "{name.__class__}", "{name!r}", "{name:>9}"),
        *("{name[0]}", "{ name }", "{0}", "{name}}", "x" * 5000, "{" * 999),
    ],
)
def test_other_templates_are_refused(template):
    with pytest.raises(TransshipError) as caught:
        NameTemplate(template)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("reference", "template"), [("h.tld/app:1", "{digest}"), ("h.tld/app:1", "{hex}"), (f"app@{_DIGEST}", "{tag}")]
)
def test_a_field_that_the_source_lacks_is_an_error(reference, template):
    with pytest.raises(TransshipError, match="has no"):
        NameTemplate(template).fill(SourceName.of_reference(_reference(reference)))


def test_a_template_knows_whether_it_needs_the_digest():
    assert NameTemplate("{name}:{hex}").needs_digest
    assert not NameTemplate("{name}:{{hex}}").needs_digest


@given(st.lists(st.sampled_from([*(f"{{{field}}}" for field in FIELDS), "{", "}", "{{", "}}", "/", "..", "é", "a"])))
def test_any_template_is_filled_or_a_clear_error(pieces):
    source = SourceName("host.tld:1", "a/b", "1", _DIGEST)
    with contextlib.suppress(TransshipError):
        name = destination_name("dest", NameTemplate("".join(pieces)).fill(source))
        assert name.startswith("dest/")
        assert ".." not in name.split("/")


def test_a_name_is_given_once():
    names = ClaimedNames()
    assert names.claim("dest/app:1", "a/app:1") is None
    assert names.claim("dest/app:1", "b/app:1") == "a/app:1"
    assert names.claim("dest/app:1", "a/app:1") == "a/app:1"
    assert names.claim("dest/app:2", "b/app:2") is None
    assert names.claim("dest/app:2/x", "c") is None
    assert names.has("dest/app:1", "a/app:1")
    assert not names.has("dest/app:1", "b/app:1")


@pytest.mark.parametrize(("one", "other"), [("dest/a", "dest/a/b/c"), ("dest/a/b/c", "dest/a"), ("/a", "/a/b")])
def test_folders_are_not_inside_of_each_other(one, other):
    names = ClaimedNames(nested=True)
    assert names.claim(one, "first") is None
    assert names.claim(other, "second") == "first"
    assert names.claim(one + "b", "third") is None
