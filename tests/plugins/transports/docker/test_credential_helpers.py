from __future__ import annotations

import json
import threading
import time

import pytest

from transship.errors import CancelledError, TransportError
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials
from transship_docker import credential_helpers
from transship_docker.credential_helpers import CredentialHelper


def test_a_helper_is_asked_by_server(make_helper):
    make_helper("x", **{"a.example": "me:secret"})
    assert CredentialHelper("x").get("a.example") == Credentials("me", "secret")
    assert CredentialHelper("x").get("b.example") is None


def test_a_marked_user_means_an_identity_token(make_helper):
    make_helper("x", **{"a.example": "<token>:abc"})
    assert CredentialHelper("x").get("a.example") == Credentials("", "", "abc")


def test_credentials_are_stored_listed_and_erased(make_helper):
    kept = make_helper("x")
    helper = CredentialHelper("x")
    helper.store("a.example", "me", "päss")
    assert json.loads(kept.read_text()) == {"a.example": {"ServerURL": "a.example", "Username": "me", "Secret": "päss"}}
    assert helper.servers() == ["a.example"]
    assert helper.erase("a.example")
    assert not helper.erase("a.example")


def test_a_missing_program_is_a_warning(make_helper):
    warnings = []
    assert CredentialHelper("absent", warnings.append).get("a.example") is None
    assert "docker-credential-absent" in warnings[0]


def test_a_program_of_the_current_folder_is_not_run(make_helper, tmp_path, monkeypatch):
    make_helper("x", **{"a.example": "me:secret"})
    monkeypatch.chdir(tmp_path / "programs")
    monkeypatch.setenv("PATH", ".:")
    warnings = []
    assert CredentialHelper("x", warnings.append).get("a.example") is None
    assert len(warnings) == 1


@pytest.mark.parametrize("name", ["", "a/b", "../x", "..", ".", "a\\b", "a\0b"])
def test_a_name_is_no_path(name):
    with pytest.raises(TransportError, match="invalid name of a credential helper"):
        CredentialHelper(name)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'it is locked'; exit 1", "exit status 1: it is locked"),
        ("echo 'it is locked' >&2; exit 3", "exit status 3: it is locked"),
        ("kill -9 $$", "signal 9"),
        ("echo 'top secret'", "something else than a JSON object"),
        ("echo '[]'", "something else than a JSON object"),
        ("""echo '{"Username": 1, "Secret": "top secret"}'""", '"Username" is no string'),
        ("""echo '{"Username": "u", "Secret": "top secret"}'; exit 1""", "exit status 1$"),
        ("echo '" + "[" * 20_000 + "'", "something else than a JSON object"),
        ("printf '\\377'", "something else than a JSON object"),
        ("exec cat /dev/zero", "more than 1048576 bytes of output"),
        ("exec cat /dev/zero >&2", "more than 1048576 bytes of output"),
    ],
)
def test_a_helper_that_fails_is_an_error_without_secrets(make_helper, script, message):
    make_helper("x", f"#!/bin/sh\n{script}\n")
    with pytest.raises(TransportError, match=message) as caught:
        CredentialHelper("x").get("a.example")
    assert "top secret" not in str(caught.value)


def test_a_file_that_cannot_be_run_is_an_error(make_helper):
    make_helper("x", "#!/nowhere/at/all\n")
    with pytest.raises(TransportError, match="no such file"):
        CredentialHelper("x").get("a.example")


def test_a_helper_need_not_read_its_input(make_helper):
    make_helper("x", """#!/bin/sh\nexec <&-\necho '{"Username": "me", "Secret": "s"}'\n""")
    assert CredentialHelper("x").get("a.example") == Credentials("me", "s")


def test_a_helper_that_never_answers_is_ended_with_what_it_started(make_helper, tmp_path, monkeypatch):
    monkeypatch.setattr(credential_helpers, "TIMEOUT", 0.3)
    alive = tmp_path / "alive"
    make_helper("x", f"#!/bin/sh\n(sleep 1; touch {alive}) &\nsleep 100\n")
    with pytest.raises(TransportError, match="no answer within"):
        CredentialHelper("x").get("a.example")
    time.sleep(1)
    assert not alive.exists()


def test_a_helper_that_leaves_something_running_is_not_waited_for(make_helper):
    make_helper("x", """#!/bin/sh\nsleep 5 &\necho '{"Username": "me", "Secret": "s"}'\n""")
    started = time.monotonic()
    assert CredentialHelper("x").get("a.example") == Credentials("me", "s")
    assert time.monotonic() - started < 3


def test_cancelling_ends_a_helper(make_helper):
    make_helper("x", "#!/bin/sh\nsleep 100\n")
    cancellation = Cancellation()
    threading.Timer(0.2, cancellation.cancel).start()
    with pytest.raises(CancelledError):
        CredentialHelper("x", cancellation=cancellation).get("a.example")


def test_what_is_too_long_to_tell_is_refused(make_helper):
    make_helper("x")
    with pytest.raises(TransportError, match="more than"):
        CredentialHelper("x").store("a.example", "me", "x" * 100_000)
