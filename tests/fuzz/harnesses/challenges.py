"""What registries answer: challenges in headers, and bodies that say why not."""

from __future__ import annotations

import json

from harnesses.json_texts import WORDS as JSON_WORDS
from harnesses.target import Target
from transship_docker.challenge import parse_challenges
from transship_docker.errors import refusal
from transship_docker.http import httpcore
from transship_docker.messages import Request, Response

_CHALLENGES = (
    b'Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push"',
    b'Basic realm="x \\" y", charset=UTF-8',
    b'Negotiate, Bearer realm=a,error="invalid_token",error_description="no",Basic',
    b"NTLM TlRMTVNTUAAB==, Digest a = b",
)
_CHALLENGE_WORDS = (b"Bearer ", b"Basic ", b'realm="', b'error="insufficient_scope"', b'\\"', b"=", b",", b" \t", b"==")
_BODIES = (
    b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}',
    b'{"errors":[{"code":"DENIED"}]}',
    b'{"details":"no such user"}',
    b"<html>\x1b[31m",
)
_STATUSES = (400, 401, 403, 404, 429, 500, 503)
_URL = "https://user:secret@registry.example.com/v2/a/manifests/b?sig=secret"


def _check_challenge(data: bytes) -> None:
    for challenge in parse_challenges(data.decode("latin-1").split("\n")):
        assert challenge.scheme
        assert challenge.scheme == challenge.scheme.lower()
        assert all(name == name.lower() for name in challenge.parameters)
        json.dumps(dict(challenge.parameters))


def _check_refusal(data: bytes) -> None:
    """The first line is a challenge, the rest a body."""
    header, _, body = data.partition(b"\n")
    request = Request("GET", _URL, 60, str)
    for status in _STATUSES:
        response = Response(request, httpcore.Response(status, headers=[(b"www-authenticate", header)]), lambda: None)
        error = refusal(response, body)
        for text in (str(error), error.code, error.url):
            assert text.isprintable(), text
            assert "secret" not in text or b"secret" in data
            assert len(text) < 10_000


TARGETS = (
    Target("challenge", _check_challenge, _CHALLENGES, _CHALLENGE_WORDS),
    Target(
        "refusal",
        _check_refusal,
        [b"%s\n%s" % pair for pair in zip(_CHALLENGES, _BODIES, strict=True)],
        (*_CHALLENGE_WORDS, *JSON_WORDS, b'"errors"', b'"code"', b'"message"', b'"MANIFEST_UNKNOWN"', b'"details"'),
    ),
)
