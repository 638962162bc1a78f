"""Uploading to a log."""

from __future__ import annotations

import json

import pytest
from sigstore_authorities import encoded, public_der, public_pem, sign
from sigstore_services import NoWait, Rekor

from transship.errors import SignatureError
from transship_sigstore.keys import generate_key
from transship_sigstore.log_entry import verify_logged
from transship_sigstore.rekor import RekorLog

KEY = generate_key()
PAYLOAD = b"payload"
SIGNATURE = sign(KEY, PAYLOAD)


@pytest.fixture
def rekor():
    with Rekor() as rekor:
        yield rekor


@pytest.fixture
def cancellation():
    return NoWait()


@pytest.fixture
def pauses(cancellation):
    return cancellation.pauses


@pytest.fixture
def upload(rekor, cancellation):
    def send(url=rekor.url, signature=SIGNATURE):
        return RekorLog(url, cancellation).upload(public_pem(KEY), signature, PAYLOAD)

    return send


def verified(rekor, promise):
    return verify_logged(promise, [rekor.log.key.public_key()], public_der(KEY), SIGNATURE, PAYLOAD)


def test_log_promises_to_have_it(rekor, upload):
    assert verified(rekor, upload())
    assert verified(rekor, upload(rekor.url + "/"))


def test_what_the_log_has_already_is_asked_for(rekor, upload):
    first = upload()
    assert json.loads(upload()) == json.loads(first)
    assert [request.method for request in rekor.requests] == ["POST", "POST", "GET"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_upload_is_tried_again(rekor, upload, pauses, status):
    rekor.faults = [(status, b"")] * 3
    assert verified(rekor, upload())
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_upload_ends_at_some_time(rekor, upload):
    rekor.faults = [(503, b"busy")] * 9
    with pytest.raises(SignatureError, match="503"):
        upload()
    assert len(rekor.requests) == 4


def test_what_another_try_cannot_change_is_not_tried(rekor, upload, pauses):
    with pytest.raises(SignatureError, match="400"):
        upload(signature=sign(KEY, b"something else"))
    assert (len(rekor.requests), pauses) == (1, [])


def test_server_that_is_not_there_is_told(upload, pauses):
    with pytest.raises(SignatureError):
        upload("http://127.0.0.1:1")
    assert len(pauses) == 3


def _good(rekor):
    document = {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {"data": {"hash": {"algorithm": "sha256", "value": "0" * 64}}, "signature": {}},
    }
    return {**rekor.log.entry(document), "verification": {"signedEntryTimestamp": encoded(b"x")}}


@pytest.mark.parametrize(
    "answer",
    [
        lambda rekor: b"",
        lambda rekor: b"[]",
        lambda rekor: {},
        lambda rekor: {"a": 1},
        lambda rekor: {"a": _good(rekor), "b": _good(rekor)},
        lambda rekor: {"a": {**_good(rekor), "verification": None}},
        lambda rekor: {"a": {**_good(rekor), "integratedTime": "now"}},
        lambda rekor: {"a": {**_good(rekor), "body": {}}},
        lambda rekor: {"a": _good(rekor)},  # about something else
        lambda rekor: b" " * (2 << 20),
    ],
)
def test_odd_answer_is_refused(rekor, upload, answer):
    rekor.faults = [(201, answer(rekor))] * 4
    with pytest.raises(SignatureError) as error:
        upload()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "location", ["", "/api/v1/log/entries/", "/x/../../secret", "http://127.0.0.1:1/not-hex", "/entries/" + "g" * 64]
)
def test_odd_conflict_is_refused(rekor, upload, location):
    rekor.faults = [(409, b"", {"Location": location})]
    with pytest.raises(SignatureError):
        upload()
    assert len(rekor.requests) == 1


def test_conflict_never_leads_to_another_host(rekor, upload):
    uuid = "0" * 64
    rekor.faults = [(409, b"", {"Location": f"http://127.0.0.1:1/api/v1/log/entries/{uuid}"}), (404, b"gone")]
    with pytest.raises(SignatureError, match="404"):
        upload()
    assert rekor.requests[-1].path.endswith(uuid)


def test_redirect_is_not_followed(rekor, upload):
    rekor.faults = [(307, b"", {"Location": f"{rekor.url}/api/v1/log/entries"})]
    with pytest.raises(SignatureError, match="307"):
        upload()
