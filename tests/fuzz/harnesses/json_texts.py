"""JSON from strangers."""

from __future__ import annotations

import json

from harnesses.target import Target, refusing
from transship.errors import InvalidManifestError
from transship.image.strict_json import dump_json, dump_raw_members, load_json, raw_members

WORDS = tuple(b'{ } [ ] : , " \\" \\\\ \\u \\ud800 \\udc00 null true false NaN Infinity -0 1e999 0.5 1e5 -'.split())


def _check(data: bytes) -> None:
    with refusing(InvalidManifestError):
        value = load_json(data, "input")
        json.loads(data)  # what is strict is never more lenient
        again = load_json(dump_json(value), "output")
        assert again == value
    with refusing(InvalidManifestError):
        members = raw_members(data, "input")
        assert load_json(dump_raw_members(members), "output") == value


TARGETS = (
    Target(
        "json",
        _check,
        seeds=(
            b'{"a":[1,-0.5e3,true,null],"b":{"c":"\\u00e9\\ud83d\\ude00\\ud800"}}',
            b' [ "\xc3\xa9\\/" , {} , [ ] ] ',
            b'{"a":1,"a":2}',
            b'{"a":1E400}',
        ),
        words=WORDS,
    ),
)
