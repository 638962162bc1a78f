from __future__ import annotations

import os

import pytest

from transship.errors import InvalidReferenceError
from transship_oci.transport import OciTransport

TRANSPORT = OciTransport()


@pytest.mark.parametrize(
    ("text", "path", "tag", "index", "canonical"),
    [
        ("dir", "dir", "", None, "oci:dir:"),
        ("dir:", "dir", "", None, "oci:dir:"),
        ("dir:v1", "dir", "v1", None, "oci:dir:v1"),
        ("/a/b:docker.io/library/x:1", "/a/b", "docker.io/library/x:1", None, "oci:/a/b:docker.io/library/x:1"),
        ("dir:a:b:c", "dir", "a:b:c", None, "oci:dir:a:b:c"),
        ("dir:a--b", "dir", "a--b", None, "oci:dir:a--b"),
        ("dir:@0", "dir", "", 0, "oci:dir:@0"),
        ("dir:@+7", "dir", "", 7, "oci:dir:@7"),
    ],
)
def test_reference_is_read_and_printed(text, path, tag, index, canonical):
    reference = TRANSPORT.parse_reference(text)
    assert (reference.path, reference.tag, reference.index) == (path, tag, index)
    assert str(reference) == canonical
    assert TRANSPORT.parse_reference(reference.text) == reference


@pytest.mark.parametrize(
    "text", ["", ":v1", "dir:b c", "dir:@x", "dir:@-1", "dir:@", "dir:_x", "dir:a---b", "dir:a//b", "dir:a\n", "a\0b:c"]
)
def test_text_that_names_nothing_is_refused(text):
    with pytest.raises(InvalidReferenceError):
        TRANSPORT.parse_reference(text)


def test_policy_scopes_are_the_resolved_path_and_its_parents(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    reference = TRANSPORT.parse_reference(f"{tmp_path}/link:v1")
    resolved = os.path.realpath(tmp_path / "real")
    assert reference.policy_identity == resolved
    assert reference.policy_namespaces[:2] == (resolved, os.path.dirname(resolved))
    assert "/" not in reference.policy_namespaces
    assert "" not in reference.policy_namespaces


def test_the_whole_file_system_falls_under_the_scope_of_the_whole_transport():
    reference = TRANSPORT.parse_reference("/")
    assert (reference.resolved, reference.policy_identity, reference.policy_namespaces) == ("/", "", ())


@pytest.mark.parametrize("scope", ["/a", "/a/b"])
def test_scope_of_a_clean_path_is_accepted(scope):
    TRANSPORT.validate_policy_scope(scope)


@pytest.mark.parametrize("scope", ["", "a", "/", "/a/", "/a//b", "/a/../b", "//a", "/a:_", "/a/b:v1"])
def test_scope_that_never_matches_is_refused(scope):
    with pytest.raises(InvalidReferenceError):
        TRANSPORT.validate_policy_scope(scope)


def test_place_is_a_layout_without_an_image():
    assert TRANSPORT.parse_place("dir").path == "dir"
    with pytest.raises(InvalidReferenceError):
        TRANSPORT.parse_place("dir:v1")
