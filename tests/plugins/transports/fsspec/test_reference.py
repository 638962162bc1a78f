"""What a reference names, what it does not, and which scopes of a policy cover it."""

from __future__ import annotations

import os

import pytest

from transship.errors import InvalidReferenceError
from transship_fsspec.transport import FsspecTransport

parse = FsspecTransport().parse_reference


@pytest.mark.parametrize(
    ("text", "place", "tag"),
    [
        ("s3://bucket/path:tag", "s3://bucket/path", "tag"),
        ("s3://bucket/path", "s3://bucket/path", ""),
        ("s3://bucket/path/", "s3://bucket/path", ""),
        ("s3://bucket:tag", "s3://bucket", "tag"),
        ("s3a://bucket/path:tag", "s3://bucket/path", "tag"),
        ("s3://bucket/path:host.example:5000/team/app:1.0", "s3://bucket/path", "host.example:5000/team/app:1.0"),
        ("s3://bucket:host.example:5000/team/app:1.0", "s3://bucket", "host.example:5000/team/app:1.0"),
        ("sftp://host/path:tag", "sftp://host/path", "tag"),
        ("ssh://ann@host:2222/path:tag", "sftp://ann@host:2222/path", "tag"),
        ("sftp://host/path:app@1", "sftp://host/path", "app@1"),
        ("file:///path:tag", "file:///path", "tag"),
        ("file:///path/../other:tag", "file:///other", "tag"),
        ("memory://path:tag", "memory://path", "tag"),
        ("zip://::file:///path/of.zip:tag", "zip://::file:///path/of.zip", "tag"),
        ("zip::file:///path/of.zip:tag", "zip://::file:///path/of.zip", "tag"),
        ("zip://in/side::s3://bucket/of.zip:tag", "zip://in/side::s3://bucket/of.zip", "tag"),
    ],
)
def test_tag_follows_the_first_colon_of_the_path(text, place, tag):
    reference = parse(text)
    assert (str(reference.place), reference.tag, reference.position) == (place, tag, None)
    assert parse(reference.text) == reference


def test_relative_path_begins_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(parse("file://layout:tag").place) == f"file://{os.getcwd()}/layout"


def test_position_is_no_tag():
    reference = parse("memory://path:@12")
    assert (reference.tag, reference.position) == ("", 12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path:tag",
        "/path:tag",
        "s3:bucket/path",
        "s3://",
        "s3://bucket/path:",
        "s3://bucket//path",
        "s3://bucket/a/../b",
        "s3://bucket/./b",
        "s3://bucket/a*",
        "s3://bucket/a?versionId=x",
        "s3://bucket/a b",
        "s3://bucket/a\nb",
        "sftp://host",
        "sftp://host:22",
        "sftp:///path",
        "file://",
        "zip:///path/of.zip:tag",
        "zip://a/../b::file:///path/of.zip:tag",
        "zip://a:b::file:///path/of.zip:tag",
        "zip://a::zip://b::file:///path/of.zip",
        "tar://::file:///path/of.tar:tag",
        "simplecache::s3://bucket/path:tag",
        "dir://path::s3://bucket:tag",
        "reference://path:tag",
        "memory://path:a::b",
    ],
)
def test_what_names_no_image_is_refused(text):
    with pytest.raises(InvalidReferenceError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "sftp://ann:open-sesame@host/path:tag",
        "sftp://ann:open-sesame@host:22/path:tag",
        "sftp://ann:open/sesame@host/path:tag",
        "s3://KEY:open-sesame@bucket/path:tag",
        "s3://KEY:open/sesame@bucket/path:tag",
        "zip://::s3://KEY:open-sesame@bucket/path.zip:tag",
    ],
)
def test_password_is_refused_and_not_repeated(text):
    with pytest.raises(InvalidReferenceError) as caught:
        parse(text)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("s3a://bucket/a/b:v1", ["s3://bucket/a/b:v1", "s3://bucket/a/b", "s3://bucket/a", "s3://bucket", "s3://"]),
        ("s3://bucket/a", ["s3://bucket/a", "s3://bucket", "s3://"]),
        ("ssh://ann@HOST:22/a:v1", ["sftp://host/a:v1", "sftp://host/a", "sftp://host", "sftp://"]),
        ("sftp://host:2222/a", ["sftp://host:2222/a", "sftp://host:2222", "sftp://"]),
        (
            "zip://in::s3://bucket/a.zip:v1",
            [
                "zip://in::s3://bucket/a.zip:v1",
                "zip://in::s3://bucket/a.zip",
                "s3://bucket/a.zip",
                "s3://bucket",
                "s3://",
            ],
        ),
    ],
)
def test_policy_scopes_are_the_place_and_all_above_it(text, scopes):
    reference = parse(text)
    assert [reference.policy_identity, *reference.policy_namespaces] == scopes


def test_policy_scopes_of_a_folder_are_where_its_links_lead(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    scopes = parse(f"file://{tmp_path}/link/layout:v1").policy_namespaces
    assert scopes[0] == f"file://{os.path.realpath(tmp_path)}/real/layout"


@pytest.mark.parametrize(
    "scope", ["s3://", "s3://bucket", "s3://bucket/a", "s3://bucket/a:v1", "sftp://host", "file:///a"]
)
def test_scope_that_something_has_is_taken(scope):
    FsspecTransport().validate_policy_scope(scope)


@pytest.mark.parametrize(
    "scope", ["s3a://bucket", "ssh://host/a", "sftp://ann@host/a", "bucket/a", "s3://bucket/", "zip://", "dir://", "x"]
)
def test_scope_that_nothing_has_is_refused(scope):
    with pytest.raises(InvalidReferenceError):
        FsspecTransport().validate_policy_scope(scope)
