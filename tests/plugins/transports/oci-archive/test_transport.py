from __future__ import annotations

import os

import pytest

from transship.errors import InvalidReferenceError
from transship.plugin.transport import Deleter, TagLister
from transship_oci_archive.transport import OciArchiveTransport

TRANSPORT = OciArchiveTransport()


@pytest.mark.parametrize(
    ("text", "path", "tag", "canonical"),
    [
        ("a.tar", "a.tar", "", "oci-archive:a.tar:"),
        ("a.tar:", "a.tar", "", "oci-archive:a.tar:"),
        ("/a/b.tar:x/y:1", "/a/b.tar", "x/y:1", "oci-archive:/a/b.tar:x/y:1"),
    ],
)
def test_reference_is_read_and_printed(text, path, tag, canonical):
    reference = TRANSPORT.parse_reference(text)
    assert (reference.path, reference.tag, reference.index) == (path, tag, None)
    assert str(reference) == canonical
    assert TRANSPORT.parse_reference(reference.text) == reference


@pytest.mark.parametrize("text", ["", ":v1", "a.tar:@0", "a.tar:b c", "a.tar:_x"])
def test_text_that_names_nothing_is_refused(text):
    with pytest.raises(InvalidReferenceError):
        TRANSPORT.parse_reference(text)


def test_policy_scopes_are_the_resolved_path_and_its_parents(tmp_path):
    resolved = os.path.realpath(tmp_path / "a.tar")
    reference = TRANSPORT.parse_reference(f"{tmp_path}/a.tar:v1")
    assert reference.policy_identity == resolved
    assert reference.policy_namespaces[:2] == (resolved, os.path.dirname(resolved))


def test_images_are_listed_but_not_deleted():
    assert isinstance(TRANSPORT, TagLister)
    assert not isinstance(TRANSPORT, Deleter)
