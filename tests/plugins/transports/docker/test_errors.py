"""From answers to errors."""

from __future__ import annotations

import json
from http.client import responses

import pytest

from transship.errors import BlobNotFoundError, NotFoundError
from transship_docker.errors import printable, redacted, refusal
from transship_docker.http import httpcore
from transship_docker.messages import Request, Response


def refused(status, body=b"", **headers):
    request = Request("GET", "https://user:secret@h.tld/v2/x?signature=secret", 60, str)
    lines = [(name.replace("_", "-"), text) for name, text in headers.items()]
    phrase = {"reason_phrase": responses.get(status, "").encode()}
    response = Response(request, httpcore.Response(status, headers=lines, extensions=phrase), lambda: None)
    return refusal(response, body if isinstance(body, bytes) else json.dumps(body).encode())


def errors(*entries):
    return {"errors": [{"code": code, "message": message} for code, message in entries]}


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (404, errors(("MANIFEST_UNKNOWN", "manifest unknown")), "manifest unknown"),
        (404, errors(("MANIFEST_UNKNOWN", "no such thing")), "manifest unknown: no such thing"),
        (404, errors(("MANIFEST_UNKNOWN", "")), "manifest unknown"),
        (403, errors(("DENIED", "a"), ("UNAUTHORIZED", "b")), "denied: a"),
        (400, errors(("STRANGE", "b")), "unknown: b"),
        (401, {"details": "wrong"}, "unauthorized: wrong"),
        (429, {"details": "slow"}, "toomanyrequests: slow"),
        (404, {"details": "404 page not found"}, "unknown: 404 page not found"),
        (401, b"<html>", "authentication required"),
        (404, b"x" * 60, f'StatusCode: 404, "{"x" * 50}..."'),
        (404, b'a"\x1b[2J\n', 'StatusCode: 404, "a\\"\\x1b[2J\\n"'),
        (400, {"errors": []}, 'StatusCode: 400, "{\\"errors\\": []}"'),
        (400, {"errors": [3]}, 'StatusCode: 400, "{\\"errors\\": [3]}"'),
        (400, [1], 'StatusCode: 400, "[1]"'),
        (400, b"[" * 100_000, f'StatusCode: 400, "{"[" * 50}..."'),
        (503, errors(("UNKNOWN", "x")), "received unexpected HTTP status: 503 Service Unavailable"),
        (304, b"", "received unexpected HTTP status: 304 Not Modified"),
    ],
)
def test_an_answer_becomes_a_message(status, body, text):
    assert str(refused(status, body)) == text


def test_a_challenge_says_more_than_the_body():
    challenge = 'Bearer realm="r",error="insufficient_scope",error_description="not you"'
    error = refused(401, errors(("UNAUTHORIZED", "x")), www_authenticate=challenge)
    assert (error.code, str(error)) == ("DENIED", "denied: not you")


def test_kinds_of_absence_can_be_told_apart():
    assert isinstance(refused(404, errors(("MANIFEST_UNKNOWN", ""))), NotFoundError)
    assert isinstance(refused(404, errors(("BLOB_UNKNOWN", ""))), BlobNotFoundError)
    assert not isinstance(refused(404), NotFoundError)
    assert not isinstance(refused(404, errors(("NAME_UNKNOWN", ""))), NotFoundError)


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (401, errors(("UNAUTHORIZED", "")), False),
        (403, errors(("DENIED", "")), False),
        (404, errors(("MANIFEST_UNKNOWN", "")), False),
        (429, errors(("TOOMANYREQUESTS", "")), True),
        (400, errors(("MANIFEST_INVALID", "")), True),
        (404, b"", False),
        (408, b"", True),
        (503, b"", True),
        (501, b"", False),
        (521, b"", True),
    ],
)
def test_what_may_pass_is_known(status, body, retryable):
    assert refused(status, body).retryable is retryable


def test_nothing_of_an_address_is_shown_that_may_be_secret():
    assert refused(404).url == "https://h.tld/v2/x"
    assert redacted("https://[::1]:5/x?y#z") == "https://[::1]:5/x"
    assert redacted("https://h:x/") == "an invalid address"


def test_what_does_not_print_is_escaped():
    assert printable("a\x1b[31m\u202e\udc80é") == "a\\x1b[31m\\u202e\\udc80é"
    assert len(printable("x" * 10_000)) < 2000
