from __future__ import annotations

import itertools
import os

import pytest

from transship.errors import InvalidReferenceError, NotFoundError, TransportError
from transship.plugin.context import Context
from transship.plugin.transport import Deleter, TagLister
from transship.testing.images import oci_image
from transship.testing.writers import write_oci_archive
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


@pytest.fixture
def pipe():
    """A pipe, as shells make them of ``|`` and ``<(…)``."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


def test_pipe_is_where_processes_have_it_open_to_a_policy(tmp_path, pipe):
    (tmp_path / "link").symlink_to(f"/dev/fd/{pipe}")
    for path in (f"/dev/fd/{pipe}", f"/proc/self/fd/{pipe}", f"{tmp_path}/link"):
        reference = TRANSPORT.parse_reference(path)
        assert (reference.policy_identity, *reference.policy_namespaces) == ("/dev/fd", "/dev/fd", "/dev")
    TRANSPORT.validate_policy_scope("/dev/fd")


def test_archive_and_pipe_do_not_pass_for_each_other(tmp_path, pipe):
    """A policy was asked about what a link led to, and it leads elsewhere by now."""
    write_oci_archive({"v1": oci_image()}, tmp_path / "a.tar")
    other, writing = os.pipe()
    places = [f"/dev/fd/{pipe}", f"{tmp_path}/a.tar", f"/dev/fd/{other}"]
    for judged, read in itertools.permutations(places, 2):
        (tmp_path / "link").symlink_to(judged)
        reference = TRANSPORT.parse_reference(f"{tmp_path}/link")
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(read)
        with pytest.raises(TransportError, match="elsewhere"):
            TRANSPORT.open_source(reference, Context())
        (tmp_path / "link").unlink()
    os.close(other)
    os.close(writing)


def test_names_and_digests_are_listed(tmp_path):
    images = {"v1": oci_image(), "": oci_image(architecture="arm64"), "v2": oci_image()}
    write_oci_archive(images, tmp_path / "a.tar")
    place = TRANSPORT.parse_place(f"{tmp_path}/a.tar")
    assert list(TRANSPORT.list_tags(place, Context()).tags) == ["v1", "v2"]
    assert TRANSPORT.list_digests(place, Context()).digests == dict.fromkeys(("v1", "v2"), oci_image().digest)


def test_image_that_is_not_in_it_is_told_and_no_file_stays_open(tmp_path):
    write_oci_archive({"v1": oci_image()}, tmp_path / "a.tar")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(NotFoundError):
        TRANSPORT.open_source(TRANSPORT.parse_reference(f"{tmp_path}/a.tar:v2"), Context())
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("suffix", [":v1", ""])
def test_archive_that_took_the_place_of_the_one_that_was_named_is_refused(tmp_path, suffix):
    write_oci_archive({"v1": oci_image()}, tmp_path / "a.tar")
    reference = TRANSPORT.parse_reference(f"{tmp_path}/a.tar{suffix}")
    (tmp_path / "a.tar").rename(tmp_path / "b.tar")
    (tmp_path / "a.tar").symlink_to(tmp_path / "b.tar")
    with pytest.raises(TransportError):
        TRANSPORT.open_source(reference, Context())


def test_images_are_listed_but_not_deleted():
    assert isinstance(TRANSPORT, TagLister)
    assert not isinstance(TRANSPORT, Deleter)
