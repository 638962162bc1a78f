"""Where a policy is looked for."""

from __future__ import annotations

import os
import threading

import pytest

from transship.errors import PolicyError
from transship.image.strict_json import METADATA_LIMIT
from transship.policy import files
from transship.policy.files import default_paths, load_policy

ACCEPTING = b'{"default": [{"type": "insecureAcceptAnything"}]}'
REJECTING = b'{"default": [{"type": "reject"}]}'


@pytest.fixture
def places(tmp_path, monkeypatch):
    user, system = tmp_path / "user.json", tmp_path / "system.json"
    monkeypatch.setattr(files, "default_paths", lambda: (str(user), str(system)))
    return user, system


def test_default_places_are_the_usual_ones(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert default_paths() == ("/home/me/.config/containers/policy.json", "/etc/containers/policy.json")


def test_no_folder_that_lies_here_is_the_home_of_who_has_none(monkeypatch, tmp_path):
    """Who has a number and no name, as in some containers, is not trusted for by whoever wrote the current folder."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "~" / ".config" / "containers" / "policy.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(ACCEPTING)
    assert default_paths()[0] == "/.config/containers/policy.json"


@pytest.mark.parametrize("path", [None, ""])
def test_users_policy_is_used_alone(places, path):
    user, system = places
    system.write_bytes(REJECTING)
    assert load_policy(path).default[0].type == "reject"
    user.write_bytes(ACCEPTING)
    assert load_policy(path).default[0].type == "insecureAcceptAnything"


def test_broken_policy_of_the_user_is_not_passed_over(places):
    user, system = places
    system.write_bytes(ACCEPTING)
    user.write_bytes(b"{}")
    with pytest.raises(PolicyError, match=r"user\.json"):
        load_policy()


def test_link_to_nowhere_is_not_passed_over(places):
    user, system = places
    system.write_bytes(ACCEPTING)
    user.symlink_to("nowhere")
    with pytest.raises(PolicyError, match="no such file"):
        load_policy()


def test_place_that_cannot_be_looked_at_is_not_passed_over(places, monkeypatch, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    system = places[1]
    system.write_bytes(ACCEPTING)
    monkeypatch.setattr(files, "default_paths", lambda: (str(tmp_path / "loop" / "policy.json"), str(system)))
    with pytest.raises(PolicyError, match=r"loop/policy\.json.*--policy"):
        load_policy()
    assert load_policy(str(system)).default[0].type == "insecureAcceptAnything"


def test_without_any_policy_the_ways_out_are_told(places):
    with pytest.raises(PolicyError, match=r"no policy\.json file found") as caught:
        load_policy()
    for way_out in (str(places[0]), str(places[1]), "--policy", "--insecure-policy", "transship policy init"):
        assert way_out in str(caught.value)


def test_named_policy_is_the_only_one(places, tmp_path):
    places[0].write_bytes(REJECTING)
    (tmp_path / "mine.json").write_bytes(ACCEPTING)
    assert load_policy(str(tmp_path / "mine.json")).default[0].type == "insecureAcceptAnything"


@pytest.mark.parametrize("name", ["none.json", "folder", "locked.json"])
def test_unreadable_policy_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked.json").mkdir(mode=0)
    with pytest.raises(PolicyError, match=name):
        load_policy(str(tmp_path / name))


def test_policy_may_be_a_link(tmp_path):
    (tmp_path / "real.json").write_bytes(REJECTING)
    (tmp_path / "link.json").symlink_to("real.json")
    assert load_policy(str(tmp_path / "link.json")).default[0].type == "reject"


@pytest.mark.parametrize("target", ["nowhere", "link.json", "."])
def test_link_that_leads_to_no_file_is_refused(tmp_path, target):
    (tmp_path / "link.json").symlink_to(target)
    with pytest.raises(PolicyError, match=r"link\.json"):
        load_policy(str(tmp_path / "link.json"))


def test_endless_policy_is_refused():
    with pytest.raises(PolicyError, match="/dev/zero"):
        load_policy("/dev/zero")


def test_policy_may_come_through_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(ACCEPTING,))
    writer.start()
    assert load_policy(str(tmp_path / "pipe")).default[0].type == "insecureAcceptAnything"
    writer.join()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_lies_in_a_usual_place_and_is_no_file_is_not_waited_for(tmp_path, monkeypatch, make):
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / ".config" / "containers" / "policy.json"
    place.parent.mkdir(parents=True)
    make(place)
    with pytest.raises(PolicyError, match=r"policy\.json"):
        load_policy()


def test_policy_is_not_cut_to_the_size_that_is_read(tmp_path):
    path = tmp_path / "policy.json"
    path.write_bytes(ACCEPTING + b" " * METADATA_LIMIT + REJECTING)
    with pytest.raises(PolicyError, match=r"policy\.json"):
        load_policy(str(path))
