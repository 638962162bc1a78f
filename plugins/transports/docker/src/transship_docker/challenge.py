"""``WWW-Authenticate``: how a server wants to be asked (RFC 9110, section 11), and the simplest way to do so."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from transship.plugin.credentials import Credentials

_LINE_LIMIT = 16 << 10
_LINES = 20
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PARAMETER = rf'({_WORD})[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|({_WORD}))[ \t]*+(?=,|$)'
_SCHEME = rf"({_WORD})(?:[ \t]++|(?=,)|$)(?:[A-Za-z0-9._~+/-]++=*+[ \t]*+(?=,|$))?+"
_SEPARATOR = r"[ \t,]*+"
_QUOTED_PAIR = r"\\(.)"


class Challenge(NamedTuple):
    """One way to authenticate; the scheme and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(lines: Iterable[str]) -> list[Challenge]:
    """The challenges of all header lines, in order. What cannot be read ends its line."""
    return [challenge for line in list(lines)[:_LINES] if len(line) <= _LINE_LIMIT for challenge in _of_line(line)]


def basic_authorization(credentials: Credentials) -> str:
    """The header value that shows user name and password (RFC 7617)."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _of_line(line: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    position = _after_separator(line, 0)
    while position < len(line):
        if found and (match := re.compile(_PARAMETER).match(line, position)):
            name, quoted, plain = match.groups()
            found[-1][1].setdefault(name.lower(), plain if quoted is None else re.sub(_QUOTED_PAIR, r"\1", quoted))
        elif match := re.compile(_SCHEME).match(line, position):
            found.append((match[1].lower(), {}))
        else:
            break
        position = _after_separator(line, match.end())
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _after_separator(line: str, position: int) -> int:
    match = re.compile(_SEPARATOR).match(line, position)
    return match.end() if match else position
