from __future__ import annotations

import base64
import fcntl
import json
import os
import stat
import threading

import pytest

from transship.errors import TransportError
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials
from transship_docker import credential_files
from transship_docker.credential_files import CredentialFile, CredentialStore, find_credentials, require_valid_key

ME = Credentials("me", "secret")


def encoded(pair):
    return base64.b64encode(pair.encode()).decode()


def auths(**pairs):
    return json.dumps({"auths": {key: {"auth": encoded(pair)} for key, pair in pairs.items()}})


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with an empty runtime folder."""
    for name in ("home", "run"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def authfile(tmp_path):
    return tmp_path / "auth.json"


def find(authfile, text, registry, repository="", **settings):
    authfile.write_text(text)
    return find_credentials(registry, repository, authfile=str(authfile), **settings)


PLACES = ("run/containers/auth.json", "home/.config/containers/auth.json", "home/.docker/config.json")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_first_file_that_knows_something_wins(home, count):
    for number, place in list(enumerate(PLACES))[-count:]:
        write(home / place, auths(**{"a.example": f"user{number}:x"}))
    write(home / "run/other", "{}")
    found = find_credentials("a.example")
    assert found is not None
    assert found.username == f"user{3 - count}"


def test_files_that_know_other_hosts_only_are_passed_over(home):
    write(home / PLACES[0], auths(**{"b.example": "no:x", "a.example.org": "no:x"}))
    write(home / PLACES[1], '{"auths": {"a.example": {}}}')
    write(home / PLACES[2], auths(**{"a.example": "me:secret"}))
    assert find_credentials("a.example") == ME
    assert find_credentials("c.example") is None


def test_the_old_format_is_read_last(home):
    write(home / "home/.dockercfg", json.dumps({"https://a.example/v1/": {"auth": encoded("me:secret")}}))
    assert find_credentials("a.example", "ns/repo") == ME


def test_variables_move_the_default_places(home, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    write(home / "xdg/containers/auth.json", auths(**{"a.example": "one:x"}))
    write(home / "docker/config.json", auths(**{"b.example": "two:x"}))
    assert find_credentials("a.example") == Credentials("one", "x")
    assert find_credentials("b.example") == Credentials("two", "x")


def test_a_given_file_is_used_alone(home, authfile):
    write(home / PLACES[0], auths(**{"a.example": "me:secret"}))
    assert find(authfile, auths(**{"b.example": "x:y"}), "a.example") is None
    assert find_credentials("a.example", authfile=str(home / "missing")) is None


def test_a_missing_runtime_folder_is_a_warning_for_readers_and_an_error_for_writers(home, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "missing"))
    write(home / PLACES[1], auths(**{"a.example": "me:secret"}))
    warnings = []
    assert find_credentials("a.example", warn=warnings.append) == ME
    assert "set by $XDG_RUNTIME_DIR does not exist" in warnings[0]
    with pytest.raises(TransportError, match="does not exist"):
        CredentialStore().store("a.example", "me", "x")


ENTRIES = auths(
    **{
        "a.example": "host:x",
        "a.example/ns": "namespace:x",
        "a.example/ns/repo": "repository:x",
        "a.example:5000": "port:x",
        "https://url.example/v1/": "url:x",
        "plain.example/ns": "part:x",
        "https://index.docker.io/v1/": "hub:x",
    }
)


@pytest.mark.parametrize(
    ("registry", "repository", "username"),
    [
        ("a.example", "", "host"),
        ("a.example", "other/repo", "host"),
        ("a.example", "ns/other", "namespace"),
        ("a.example", "nsx/other", "host"),
        ("a.example", "ns/repo", "repository"),
        ("a.example", "ns/repo/deep", "repository"),
        ("a.example:5000", "ns/repo", "port"),
        ("a.example:6000", "", None),
        ("url.example", "x", "url"),
        ("plain.example", "x", None),
        ("plain.example", "ns/x", "part"),
        ("docker.io", "library/x", "hub"),
        ("index.docker.io", "library/x", "hub"),
    ],
)
def test_the_most_specific_key_wins_at_the_boundaries_of_names(authfile, registry, repository, username):
    found = find(authfile, ENTRIES, registry, repository)
    assert (found and found.username) == username


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded("me:se:cret")}, Credentials("me", "se:cret")),
        ({"auth": encoded("me:secret\0\0")}, ME),
        ({"auth": encoded("me:secret") + "\n"}, ME),
        ({"auth": encoded("<token>:x"), "identitytoken": "tok"}, Credentials("<token>", "x", "tok")),
        ({"auth": "", "identitytoken": "tok"}, None),
        ({"username": "me", "password": "secret"}, None),
        ({"auth": encoded("nocolon")}, None),
        ({"auth": None}, None),
        (None, None),
        ({}, None),
    ],
)
def test_entries_are_decoded(authfile, entry, expected):
    found = find(authfile, json.dumps({"auths": {"a.example": entry}}), "a.example")
    assert found == expected


def test_an_entry_without_colon_is_a_warning_without_its_content(authfile):
    warnings = []
    find(authfile, auths(**{"a.example": "topsecret"}), "a.example", warn=warnings.append)
    assert "a.example" in warnings[0]
    assert "topsecret" not in warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"auths": []}',
        '{"auths": {"a.example": "x"}}',
        '{"auths": {"a.example": {"auth": 1}}}',
        '{"auths": {"a.example": {"auth": "*topsecret*"}}}',
        '{"auths": {"a.example": {"auth": "/w=="}}}',
        '{"auths": {"a.example": {"auth": "bWU6eA==", "identitytoken": []}}}',
        '{"auths": {"a.example": {}, "a.example": {}}}',
        '{"credHelpers": []}',
        '{"credHelpers": {"a.example": 1}}',
        '{"credHelpers": {"a.example": "../../bin/x"}}',
        '{"credsStore": {}}',
        '{"x": ' + "[" * 100_000,
        '{"x": ' + "9" * 10_000 + "}",
        '{"x": "' + "y" * (1 << 20) + '"}',
    ],
)
def test_a_broken_file_never_means_anonymous(authfile, text):
    with pytest.raises(TransportError, match="errors looking up credentials") as caught:
        find(authfile, text, "a.example")
    assert "topsecret" not in str(caught.value)


def test_an_unreadable_file_never_means_anonymous(tmp_path):
    (tmp_path / "auth.json").mkdir()
    with pytest.raises(TransportError, match="is a directory"):
        find_credentials("a.example", authfile=str(tmp_path / "auth.json"))


def test_a_helper_of_the_host_decides_alone(authfile, make_helper):
    make_helper("x", **{"a.example": "helped:x"})
    text = json.dumps(
        {
            "auths": {key: {"auth": encoded("file:x")} for key in ("a.example", "b.example", "c.example/ns")},
            "credHelpers": {"a.example": "x", "b.example": "x", "c.example": "x"},
        }
    )
    found = find(authfile, text, "a.example", "ns/repo")
    assert found is not None
    assert found.username == "helped"
    assert find(authfile, text, "b.example") is None
    assert find(authfile, text, "c.example", "ns") is None


@pytest.mark.parametrize(
    ("registry", "username"),
    [
        ("a.example", "file"),
        ("marked.example", "kept"),
        ("b.example", "kept"),
        ("docker.io", "hub"),
        ("z.example", None),
    ],
)
def test_the_store_of_docker_is_asked_after_the_entries(authfile, make_helper, registry, username):
    make_helper(
        "x",
        **{
            "a.example": "kept:x",
            "marked.example": "kept:x",
            "b.example": "kept:x",
            "https://index.docker.io/v1/": "hub:x",
        },
    )
    text = json.dumps({"auths": {"a.example": {"auth": encoded("file:x")}, "marked.example": {}}, "credsStore": "x"})
    found = find(authfile, text, registry)
    assert (found and found.username) == username


def test_a_missing_helper_program_is_a_warning_and_the_next_file_is_asked(home):
    write(home / PLACES[0], '{"credHelpers": {"a.example": "absent"}}')
    write(home / PLACES[1], '{"credsStore": "missing"}')
    write(home / PLACES[2], auths(**{"a.example": "me:secret"}))
    warnings = []
    assert find_credentials("a.example", warn=warnings.append) == ME
    assert ["absent" in warnings[0], "missing" in warnings[1]] == [True, True]


def test_stores_are_asked_in_the_order_of_the_configuration(authfile, make_helper):
    make_helper("x", **{"a.example": "helped:x"})
    text = auths(**{"a.example": "file:x", "b.example": "file:x"})

    def ask(registry, *helpers):
        found = find(authfile, text, registry, "ns", helpers=helpers)
        return found and found.username

    assert ask("a.example", "x", "containers-auth.json") == "helped"
    assert ask("a.example", "containers-auth.json", "x") == "file"
    assert ask("b.example", "x", "containers-auth.json") == "file"
    assert ask("b.example", "x") is None


def test_a_store_that_fails_matters_only_if_no_other_knows(authfile, make_helper):
    make_helper("bad", "#!/bin/sh\nexit 1\n")
    text = auths(**{"a.example": "me:secret"})
    helpers = ("bad", "containers-auth.json")
    assert find(authfile, text, "a.example", helpers=helpers) == ME
    with pytest.raises(TransportError, match="errors looking up credentials"):
        find(authfile, text, "b.example", helpers=helpers)


def test_what_is_stored_is_found_and_private(home):
    store = CredentialStore()
    place = store.store("a.example/ns", "me", "sécret")
    assert place == str(home / PLACES[0])
    assert store.find("a.example", "ns/repo") == Credentials("me", "sécret")
    assert store.find("a.example") is None
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(place)).st_mode) == 0o700
    assert os.listdir(os.path.dirname(place)) == ["auth.json"]


def test_the_file_is_written_as_others_write_it(authfile):
    CredentialStore(CredentialFile(str(authfile))).store("a.example", "me", "secret")
    assert authfile.read_text() == '{\n\t"auths": {\n\t\t"a.example": {\n\t\t\t"auth": "bWU6c2VjcmV0"\n\t\t}\n\t}\n}'


def test_a_file_that_others_could_read_becomes_private(authfile):
    authfile.write_text("{}")
    authfile.chmod(0o644)
    CredentialStore(CredentialFile(str(authfile))).store("a.example", "me", "secret")
    assert stat.S_IMODE(authfile.stat().st_mode) == 0o600


@pytest.mark.parametrize("is_docker", [False, True])
def test_what_is_not_ours_in_a_file_is_kept(authfile, is_docker):
    before = {
        "auths": {"a.example": {"auth": "", "identitytoken": "old", "email": "me@a.example"}, "b.example": {"x": 1}},
        "HttpHeaders": {"X": "y"},
        "credHelpers": {"c.example": "z"},
        "big": 12345678901234567890,
        "text": "\u2028é😀",
    }
    authfile.write_text(json.dumps(before))
    store = CredentialStore(CredentialFile(str(authfile), is_docker=is_docker))
    store.store("a.example", "me", "secret")
    after = json.loads(authfile.read_text())
    assert after.pop("auths") == {
        "a.example": {"auth": encoded("me:secret"), "email": "me@a.example"},
        "b.example": {"x": 1},
    }
    assert store.remove("a.example")
    assert json.loads(authfile.read_text()) == {**after, "auths": {"b.example": {"x": 1}}}
    assert after == {key: before[key] for key in before if key != "auths"}


def test_dockers_own_file_has_dockers_keys(authfile):
    store = CredentialStore(CredentialFile(str(authfile), is_docker=True))
    store.store("docker.io", "me", "secret")
    assert list(json.loads(authfile.read_text())["auths"]) == ["https://index.docker.io/v1/"]
    assert store.find("docker.io", "library/x") == ME
    with pytest.raises(TransportError, match="Docker-compatible format with namespaced key"):
        store.store("a.example/ns", "me", "secret")
    assert store.remove("docker.io")


def test_a_broken_file_is_not_overwritten(authfile):
    authfile.write_text("{")
    store = CredentialStore(CredentialFile(str(authfile)))
    for change in (lambda: store.store("a.example", "me", "x"), lambda: store.remove("a.example"), store.remove_all):
        with pytest.raises(TransportError):
            change()
    assert authfile.read_text() == "{"


def test_a_planted_link_is_replaced_and_not_followed(authfile, tmp_path):
    (tmp_path / "victim").write_text("{}")
    authfile.symlink_to("victim")
    CredentialStore(CredentialFile(str(authfile))).store("a.example", "me", "secret")
    assert (tmp_path / "victim").read_text() == "{}"
    assert not authfile.is_symlink()


def test_writers_at_the_same_time_lose_nothing(authfile):
    def write_some(number):
        store = CredentialStore(CredentialFile(str(authfile)))
        for count in range(5):
            store.store(f"host{number}-{count}.example", "me", "secret")

    threads = [threading.Thread(target=write_some, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(authfile.read_text())["auths"]) == 20


def test_a_lock_that_is_never_released_ends_in_an_error(authfile, monkeypatch):
    monkeypatch.setattr(credential_files, "_LOCK_TIMEOUT", 0.1)
    descriptor = os.open(authfile.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(TransportError, match="holds its lock"):
            CredentialStore(CredentialFile(str(authfile)), cancellation=Cancellation()).store("a.example", "me", "x")
    finally:
        os.close(descriptor)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TransportError, match=r"file/auth\.json"):
        CredentialStore(CredentialFile(str(tmp_path / "file" / "auth.json"))).store("a.example", "me", "x")


def test_no_temporary_file_is_named_where_none_can_be_made():
    with pytest.raises(TransportError, match=r"writing /proc/auth\.json: /proc: [a-z ]+$"):
        CredentialStore(CredentialFile("/proc/auth.json")).store("a.example", "me", "x")


def test_a_pipe_is_never_replaced_by_a_file(tmp_path):
    path = tmp_path / "auth.json"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"{}",))
    writer.start()
    with pytest.raises(TransportError, match="regular file"):
        CredentialStore(CredentialFile(str(path), is_named=True)).store("a.example", "me", "x")
    writer.join()
    assert path.is_fifo()


def test_the_name_of_an_open_file_is_never_replaced_by_a_file(authfile):
    """Whoever may write to /dev would else put a file in the place of /dev/stdin."""
    authfile.write_text("{}")
    with open(authfile) as file, pytest.raises(TransportError, match="regular file"):
        CredentialStore(CredentialFile(f"/proc/self/fd/{file.fileno()}", is_named=True)).store("a.example", "me", "x")
    assert authfile.read_text() == "{}"


def test_helpers_store_and_forget_instead_of_the_file(authfile, make_helper):
    kept = make_helper("x")
    authfile.write_text('{"credHelpers": {"a.example": "x"}}')
    store = CredentialStore(CredentialFile(str(authfile)))
    assert store.store("a.example", "me", "secret") == "credential helper: x"
    assert list(json.loads(kept.read_text())) == ["a.example"]
    assert store.remove("a.example")
    assert json.loads(kept.read_text()) == {}
    assert not store.remove("a.example")


def test_the_first_store_that_takes_credentials_keeps_them(authfile, make_helper):
    make_helper("bad", "#!/bin/sh\nexit 1\n")
    kept = make_helper("x")
    store = CredentialStore(CredentialFile(str(authfile)), ["bad", "x", "containers-auth.json"])
    assert store.store("a.example", "me", "secret") == "credential helper: x"
    assert json.loads(kept.read_text())["a.example"]["Username"] == "me"
    assert not authfile.exists()
    assert store.store("a.example/ns", "me", "secret") == str(authfile)
    with pytest.raises(TransportError, match="namespaced key is not supported for credential helper x"):
        CredentialStore(CredentialFile(str(authfile)), ["x"]).store("a.example/ns", "me", "secret")


def test_everything_can_be_forgotten(authfile, make_helper):
    inner = make_helper("inner", **{"a.example": "me:x"})
    outer = make_helper("outer", **{"b.example": "me:x", "c.example": "me:x"})
    authfile.write_text(
        json.dumps({"auths": {"d.example": {}}, "credHelpers": {"a.example": "inner", "e.example": "absent"}, "x": 1})
    )
    warnings = []
    CredentialStore(CredentialFile(str(authfile)), ["containers-auth.json", "outer"], warnings.append).remove_all()
    assert json.loads(authfile.read_text()) == {"auths": {}, "x": 1}
    assert inner.read_text() == outer.read_text() == "{}"
    assert "absent" in warnings[0]


def test_credentials_are_removed_from_every_store_that_has_some(authfile, make_helper):
    kept = make_helper("x", **{"a.example": "me:x", "b.example": "me:x"})
    authfile.write_text(auths(**{"a.example": "me:x", "a.example/ns": "me:x"}))
    warnings = []
    store = CredentialStore(CredentialFile(str(authfile)), ["absent", "x", "containers-auth.json"], warnings.append)
    assert store.remove("a.example")
    assert list(json.loads(kept.read_text())) == ["b.example"]
    assert list(json.loads(authfile.read_text())["auths"]) == ["a.example/ns"]
    assert "absent" in warnings[0]
    assert store.remove("a.example/ns")  # of which helpers know nothing
    assert len(warnings) == 1
    assert not store.remove("a.example")


def test_a_helper_that_fails_to_forget_is_an_error_and_names_the_host(authfile, make_helper):
    make_helper("bad", "#!/bin/sh\necho no >&2\nexit 1\n")
    with pytest.raises(TransportError, match=r"a\.example .*bad"):
        CredentialStore(CredentialFile(str(authfile)), ["bad"]).remove("a.example")


def test_a_writer_waits_for_the_lock(authfile):
    descriptor = os.open(authfile.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    release = threading.Timer(0.2, os.close, [descriptor])
    release.start()
    CredentialStore(CredentialFile(str(authfile))).store("a.example", "me", "secret")
    release.join()
    assert find_credentials("a.example", authfile=str(authfile)) == ME


def test_removing_from_nothing_makes_no_file(home):
    assert not CredentialStore().remove("a.example")
    assert list((home / "run").iterdir()) == []


@pytest.mark.parametrize("key", ["", "https://a.example", "a.example/x:tag", "a.example/x@sha256:0", "me@a.example"])
def test_keys_that_name_no_registry_are_refused(key):
    with pytest.raises(TransportError):
        require_valid_key(key)


@pytest.mark.parametrize("key", ["a.example", "a.example:5000", "a.example:5000/ns/repo"])
def test_keys_of_registries_and_their_parts_are_valid(key):
    require_valid_key(key)
