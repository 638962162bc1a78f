from __future__ import annotations

import os

import pytest

from transship.errors import InvalidReferenceError
from transship_dir.transport import DirTransport

parse = DirTransport().parse_reference
validate = DirTransport().validate_policy_scope


@pytest.mark.parametrize("text", ["", ".", "new", "./new/", "a b:c"])
def test_reference_prints_as_it_was_written(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(parse(text)) == f"dir:{text}"
    assert parse(str(parse(text)).partition(":")[2]) == parse(text)


def test_identity_is_the_resolved_path_and_namespaces_are_its_parents(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    reference = parse("link/new")
    assert reference.policy_identity == os.path.realpath(tmp_path / "real" / "new")
    assert reference.policy_namespaces[0] == os.path.realpath(tmp_path / "real")
    assert "/" not in reference.policy_namespaces
    assert reference.named is None


def test_the_whole_file_system_falls_under_the_scope_of_the_whole_transport():
    reference = parse("/")
    assert (reference.resolved, reference.policy_identity, reference.policy_namespaces) == ("/", "", ())


@pytest.mark.parametrize("text", ["missing/new", "dangling", "nul\0"])
def test_path_below_something_missing_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(InvalidReferenceError):
        parse(text)


def test_missing_parent_is_named(tmp_path):
    with pytest.raises(InvalidReferenceError, match=r"lstat .*/missing: no such file or directory"):
        parse(f"{tmp_path}/missing/new")


@pytest.mark.parametrize("scope", ["/a", "/a/b:c"])
def test_clean_absolute_scope_is_accepted(scope):
    validate(scope)


@pytest.mark.parametrize("scope", ["a", "/", "/a/", "/a//b", "/a/../b", "//a"])
def test_other_scope_is_refused(scope):
    with pytest.raises(InvalidReferenceError):
        validate(scope)
