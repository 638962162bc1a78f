"""Versions in tags: semantic ones, read loosely, with constraints on them; and an order for all that look like one.

Constraints mean what they mean to Skopeo, whose library is github.com/Masterminds/semver v3.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transship.errors import TransshipError
from transship.image.quoting import quoted

_NUMBER_LIMIT = 2**64
_VERSION_LIMIT = 256  # characters; a tag has 128 at most
_CONSTRAINT_LIMIT = 4096

_SUFFIXES = r"(?:-(?P<prerelease>[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+))?+(?:\+[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+)?+"
_VERSION = re.compile(rf"v?+(?P<major>[0-9]++)(?:\.(?P<minor>[0-9]++))?+(?:\.(?P<patch>[0-9]++))?+{_SUFFIXES}")
_NUMBERS = ("major", "minor", "patch")
_PART = r"(?:[0-9]++|[xX*])"
_PARTIAL = rf"v?+(?P<major>{_PART})(?:\.(?P<minor>{_PART}))?+(?:\.(?P<patch>{_PART}))?+{_SUFFIXES}"
_SPACE = r"[\t\n\f\r ]"
_COMPARATOR = re.compile(rf"(?P<operator>!=|>=|=>|<=|=<|~>|=|>|<|~|\^|){_SPACE}*+{_PARTIAL}")
_SEPARATOR = re.compile(rf"{_SPACE}*+,{_SPACE}*+|{_SPACE}++")
_UNNAMED = re.sub(r"\?P<\w+>", "?:", _PARTIAL)
_RANGE = re.compile(rf"(?P<low>{_UNNAMED}){_SPACE}++-{_SPACE}++(?P<high>{_UNNAMED})")

_Precedence = tuple[int, int, int, bool, tuple[tuple[int, int, str], ...]]


@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; what follows ``+`` plays no part and is not kept. ``prerelease`` is ``""`` if it is none."""

    major: int
    minor: int = 0
    patch: int = 0
    prerelease: str = ""

    @property
    def precedence(self) -> _Precedence:
        """What versions are ordered by (semver 2.0.0, 11)."""
        parts = tuple(map(_identifier, self.prerelease.split("."))) if self.prerelease else ()
        return (self.major, self.minor, self.patch, not self.prerelease, parts)


def _identifier(text: str) -> tuple[int, int, str]:
    is_number = text.isdigit() and int(text) < _NUMBER_LIMIT
    return (0, int(text), "") if is_number else (1, 0, text)


def parse_version(text: str) -> Version | None:
    """Read ``1``, ``v1.2`` or ``1.2.3-rc.1+build`` as a version; None if it is none."""
    match = _VERSION.fullmatch(text) if len(text) <= _VERSION_LIMIT else None
    return _version([match[name] or "0" for name in _NUMBERS], match["prerelease"] or "") if match else None


def _version(numbers: list[str], prerelease: str) -> Version | None:
    major, minor, patch = map(int, numbers)
    if max(major, minor, patch) >= _NUMBER_LIMIT or any(map(_has_leading_zero, prerelease.split("."))):
        return None
    return Version(major, minor, patch, prerelease)


def _has_leading_zero(identifier: str) -> bool:
    return identifier.isdigit() and len(identifier) > 1 and identifier[0] == "0"


@dataclass(frozen=True, slots=True)
class _Comparator:
    """``given`` is how many of the three numbers are said; ``1.x`` says one, ``*`` none."""

    operator: str
    bound: Version
    given: int

    def admits(self, version: Version, with_prereleases: bool) -> bool:
        differs_only = self.operator == "!=" and self.given == 3
        if version.prerelease and not (with_prereleases or self.bound.prerelease or differs_only):
            return False
        return _OPERATORS[self.operator](version, self.bound, self.given)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Which versions are wanted: all comparators of any one group must admit them."""

    text: str
    groups: tuple[tuple[_Comparator, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read ``>= 3.12, < 4 || ~2.1`` and the like; raise ``TransshipError``."""
        if len(text) > _CONSTRAINT_LIMIT:
            raise TransshipError(f"improper constraint: longer than {_CONSTRAINT_LIMIT} characters")
        rewritten = _RANGE.sub(r">= \g<low>, <= \g<high>", text)
        return cls(text, tuple(_group(part, text) for part in rewritten.split("||")))

    def admits(self, version: Version) -> bool:
        """Whether ``version`` is wanted; a pre-release is by groups that name one."""
        return any(_admitted(group, version) for group in self.groups)


def _admitted(group: tuple[_Comparator, ...], version: Version) -> bool:
    with_prereleases = any(comparator.bound.prerelease for comparator in group)
    return all(comparator.admits(version, with_prereleases) for comparator in group)


def _group(text: str, whole: str) -> tuple[_Comparator, ...]:
    text = text.strip("\t\n\f\r ")
    comparators: list[_Comparator] = []
    position = 0
    while not comparators or position < len(text):
        separator = _SEPARATOR.match(text, position) if comparators else None
        if comparators and not separator:
            raise _improper(whole)
        match = _COMPARATOR.match(text, separator.end() if separator else position)
        comparator = _comparator(match) if match else None
        if not match or not comparator:
            raise _improper(whole)
        comparators.append(comparator)
        position = match.end()
    return tuple(comparators)


def _comparator(match: re.Match[str]) -> _Comparator | None:
    numbers: list[str] = []
    for name in _NUMBERS:
        if match[name] in (None, "x", "X", "*"):
            break
        numbers.append(match[name])
    given = len(numbers)
    bound = _version([*numbers, *["0"] * (3 - given)], match["prerelease"] or "")
    return _Comparator(match["operator"], bound, given) if bound else None


def _improper(text: str) -> TransshipError:
    return TransshipError(f"improper constraint: {quoted(text)}")


_Operator = Callable[[Version, Version, int], bool]


def _numbers(version: Version, count: int) -> tuple[int, ...]:
    return (version.major, version.minor, version.patch)[:count]


def _equal(version: Version, bound: Version, given: int) -> bool:
    return version.precedence == bound.precedence if given == 3 else _tilde(version, bound, given)


def _not_equal(version: Version, bound: Version, given: int) -> bool:
    if given == 1:
        return version.major != bound.major
    if given == 2:
        return _numbers(version, 2) != _numbers(bound, 2) or version.prerelease != bound.prerelease
    return version.precedence != bound.precedence


def _greater(version: Version, bound: Version, given: int) -> bool:
    if given in (1, 2):
        return _numbers(version, given) > _numbers(bound, given)
    return version.precedence > bound.precedence


def _less(version: Version, bound: Version, _given: int) -> bool:
    return version.precedence < bound.precedence


def _at_least(version: Version, bound: Version, _given: int) -> bool:
    return version.precedence >= bound.precedence


def _at_most(version: Version, bound: Version, given: int) -> bool:
    if given == 3:
        return version.precedence <= bound.precedence
    count = given or 2
    return _numbers(version, count) <= _numbers(bound, count)


def _tilde(version: Version, bound: Version, given: int) -> bool:
    if version.precedence < bound.precedence:
        return False
    if given in (0, 3) and _numbers(bound, 3) == (0, 0, 0):
        return True
    count = 1 if given == 1 else 2
    return _numbers(version, count) == _numbers(bound, count)


def _caret(version: Version, bound: Version, given: int) -> bool:
    if version.precedence < bound.precedence:
        return False
    if bound.major > 0 or given == 1:
        count = 1
    elif bound.minor > 0 or given == 2:
        count = 2
    else:
        count = 3
    return _numbers(version, count) == _numbers(bound, count)


_OPERATORS: Mapping[str, _Operator] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": _less,
    ">=": _at_least,
    "=>": _at_least,
    "<=": _at_most,
    "=<": _at_most,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}


_LOOKS_LIKE_ONE = re.compile(r"[vV]?+(?P<numbers>[0-9]++(?:\.[0-9]++)*+)(?P<rest>.*+)", re.DOTALL)
_WORD_OR_NUMBER = re.compile(r"[0-9]++|[^0-9]++")

VersionOrder = tuple[tuple[int, ...], bool, tuple[tuple[int, int, str], ...], str]


def version_order(tag: str) -> VersionOrder | None:
    """A key that sorts tags by version, later ones greater; None for a tag that is no version.

    A version is ``v`` or nothing, numbers with dots between, and maybe more, set off by ``-``, ``_``, ``+`` or
    ``.``, or a letter if there is a dot before it. Missing numbers are 0; with more behind it, a version comes
    before the bare one; numbers in what is behind count as numbers. Equal versions are ordered by their text.
    """
    match = _LOOKS_LIKE_ONE.fullmatch(tag) if len(tag) <= _VERSION_LIMIT else None
    if match is None:
        return None
    numbers, rest = match["numbers"], match["rest"]
    if rest and rest[0] not in "-_+." and not ("." in numbers and rest[0].isalpha()):
        return None
    values = [int(number) for number in numbers.split(".")]
    while values and values[-1] == 0:
        values.pop()
    return (tuple(values), not rest, tuple(map(_natural, _WORD_OR_NUMBER.findall(rest))), tag)


def _natural(text: str) -> tuple[int, int, str]:
    return (1, 0, text) if not (text.isascii() and text.isdigit()) else (0, int(text), "")
