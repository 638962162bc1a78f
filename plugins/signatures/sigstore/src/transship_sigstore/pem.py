"""PEM texts (RFC 7468), read strictly, and base64."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from transship.errors import SignatureError

# What a block holds ends at the next dash, so matching stays linear in the length of the text.
_BLOCK = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9][A-Z0-9 ]*)-----\s(?P<body>[A-Za-z0-9+/=\s]*)-----END (?P=label)-----"
)
_COUNT_LIMIT = 1000
_LINE = 64


class PemBlock(NamedTuple):
    """What one block holds, under its label."""

    label: str
    data: bytes


def read_pem(data: bytes, what: str, *, comments: bool = False) -> list[PemBlock]:
    """The blocks of a text; raise ``SignatureError``, naming ``what``, for anything else that it holds.

    ``comments``: there may be other text around blocks.
    """
    blocks: list[PemBlock] = []
    end = 0
    for match in _BLOCK.finditer(data):
        _require_nothing(data[end : match.start()], what, comments)
        label = match["label"].decode("ascii")
        blocks.append(PemBlock(label, decode_base64(b"".join(match["body"].split()), what)))
        end = match.end()
        if len(blocks) > _COUNT_LIMIT:
            raise SignatureError(f"{what}: more than {_COUNT_LIMIT} PEM blocks")
    _require_nothing(data[end:], what, comments)
    return blocks


def _require_nothing(between: bytes, what: str, comments: bool) -> None:
    if between.strip() and (not comments or b"-----" in between):
        raise SignatureError(f"{what} is not in PEM format, or has other data around it")


def write_pem(label: str, data: bytes) -> bytes:
    """One block."""
    text = base64.b64encode(data).decode("ascii")
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")


def decode_base64(text: bytes | str, what: str) -> bytes:
    """The bytes that ``text`` stands for, in the one canonical way (RFC 4648); raise ``SignatureError``."""
    encoded = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.b64encode(data) != encoded:
        raise SignatureError(f"{what}: illegal base64 data")
    return data
