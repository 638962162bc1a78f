"""How two images differ, as far as manifests and configs tell: values, without input or output."""

from __future__ import annotations

import enum
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from transship.anatomy.parts import Kind, LayerPart, Part, attested_digest, total
from transship.errors import UnsupportedError
from transship.image.config import HistoryEntry
from transship.image.digest import Digest
from transship.image.platform import Platform
from transship.image.quoting import quoted
from transship.image.strict_json import dump_json

_Item = TypeVar("_Item")
_Pair = tuple[Part | None, Part | None]

_COMPARED_ELSEWHERE = ("rootfs", "history")
_NAME_DEPTH = 4
_SET_MEMBER_DEPTH = 3  # config.Volumes./data is {} and says something; config.Volumes: {} says as much as nothing


class Side(enum.Enum):
    """Which of two images has something that the other has not."""

    FIRST = "first"
    SECOND = "second"


class Change(NamedTuple):
    """One thing that is said differently. ``first`` and ``second`` are parsed JSON, None: nothing is said of it."""

    name: str
    first: Any
    second: Any


class LayerChange(NamedTuple):
    """A layer of the first image, the second, or both; None: that one does not have it.

    If both have it and the digests differ, the content is the same, compressed otherwise.
    """

    first: LayerPart | None
    second: LayerPart | None

    @property
    def is_shared(self) -> bool:
        """Whether both images have the very same blob."""
        return self.first is not None and self.second is not None and self.first.digest == self.second.digest


class HistoryChange(NamedTuple):
    """A step of the history that only one of two images has."""

    side: Side
    entry: HistoryEntry


class Sizes(NamedTuple):
    """Bytes of manifests, configs and layers by who has them, each blob once. -1: some are unknown."""

    shared: int
    only_first: int
    only_second: int


@dataclass(frozen=True, slots=True)
class PartDifference:
    """Two manifests that were compared; one is None where the other image has none for that platform.

    ``changes`` are in what manifest and config say; ``history`` the steps that only one has, whenever they were made.
    """

    first: Part | None
    second: Part | None
    layers: tuple[LayerChange, ...]
    changes: tuple[Change, ...]
    history: tuple[HistoryChange, ...]
    sizes: Sizes

    @property
    def part(self) -> Part:
        """The one that is there, the second if both are."""
        part = self.second or self.first
        assert part is not None  # noqa: S101 - whoever makes a difference has one of them
        return part

    @property
    def is_equal(self) -> bool:
        """Whether they are the same manifest, byte for byte."""
        return self.first is not None and self.second is not None and self.first.digest == self.second.digest


@dataclass(frozen=True, slots=True)
class Difference:
    """Two images, or indexes whose members were compared by platform.

    ``changes`` are in what the indexes themselves say. ``is_equal``: all that was compared is the same, byte for byte.
    """

    first: Part
    second: Part
    changes: tuple[Change, ...]
    parts: tuple[PartDifference, ...]
    sizes: Sizes
    is_equal: bool


def compare(first: Part, second: Part, *, is_selection: bool = False) -> Difference:
    """Compare two images. Of an index and an image, the index's member for the image's platform is compared.

    ``is_selection``: of indexes, only the members that were read. Raises ``UnsupportedError`` if there is no such
    member, or if members that were not read would have to be compared.
    """
    if first.kind is Kind.INDEX and second.kind is not Kind.INDEX:
        first = _member_like(first, second)
    elif second.kind is Kind.INDEX and first.kind is not Kind.INDEX:
        second = _member_like(second, first)
    if first.kind is not Kind.INDEX:
        part = _compared(first, second)
        return Difference(first, second, (), (part,), part.sizes, part.is_equal)
    if not is_selection and first.digest != second.digest:
        _require_all_members(first)
        _require_all_members(second)
    parts = tuple(_compared(*pair) for pair in _pairs(first, second))
    if is_selection:
        sizes = _sizes(_blobs(part.first for part in parts), _blobs(part.second for part in parts))
        return Difference(first, second, (), parts, sizes, all(part.is_equal for part in parts))
    changes = tuple(_changes(_manifest_says(first), _manifest_says(second)))
    sizes = _sizes(first.blobs(), second.blobs())
    return Difference(first, second, changes, parts, sizes, first.digest == second.digest)


def _member_like(index: Part, image: Part) -> Part:
    members = [member for member in _leaves(index) if member.kind is image.kind]
    wanted = _platform_key(image.platform)
    fitting = [member for member in members if _fits(_platform_key(member.platform), wanted)]
    if not fitting:
        raise UnsupportedError(
            f"the index {index.digest} has no {image.kind.value} for {quoted(str(image.platform or ''))}"
        )
    return next((member for member in fitting if _platform_key(member.platform) == wanted), fitting[0])


def _require_all_members(index: Part) -> None:
    if index.members_left_out:
        raise UnsupportedError(
            f"the index {index.digest} has {index.members_left_out} members more than were read: "
            "choose platforms, or allow more manifests"
        )
    for member in index.members:
        _require_all_members(member)


def _platform_key(platform: Platform | None) -> tuple[str, str, str, str]:
    """What tells one platform from another: v8 is the only variant of arm64, said or not."""
    if platform is None:
        return ("", "", "", "")
    variant = "" if (platform.architecture, platform.variant) == ("arm64", "v8") else platform.variant
    return platform.os, platform.architecture, variant, platform.os_version


def _fits(key: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> bool:
    """Whether two platforms are the same as far as both say something of variant and version."""
    return key[:2] == other[:2] and all(
        one == another or not one or not another for one, another in zip(key[2:], other[2:], strict=True)
    )


def _leaves(index: Part) -> Iterator[Part]:
    """The members of an index, and those of indexes in it."""
    for member in index.members:
        if member.kind is Kind.INDEX:
            yield from _leaves(member)
        else:
            yield member


def _pairs(first: Part, second: Part) -> list[_Pair]:
    """Members that are there for the same: kind and platform, of an attestation that of its image."""

    def role_in(index: Part) -> Callable[[Part], Hashable]:
        platforms = {part.digest: _platform_key(part.platform) for part in _leaves(index)}

        def role(part: Part) -> Hashable:
            attested = attested_digest(part.descriptor)
            platform = platforms.get(attested) if attested else _platform_key(part.platform)
            return part.kind, part.artifact_type, platform

        return role

    return _matched(list(_leaves(first)), list(_leaves(second)), role_in(first), role_in(second))


def _matched(
    first: Sequence[_Item],
    second: Sequence[_Item],
    first_key: Callable[[_Item], Hashable],
    second_key: Callable[[_Item], Hashable],
) -> list[tuple[_Item | None, _Item | None]]:
    """Items with the same key side by side, in the order of the first; then what only the second has."""
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for number, item in enumerate(second):
        waiting[second_key(item)].append(number)
    pairs: list[tuple[_Item | None, _Item | None]] = []
    taken = set()
    for item in first:
        numbers = waiting[first_key(item)]
        if numbers:
            taken.add(numbers[0])
        pairs.append((item, second[numbers.popleft()] if numbers else None))
    return [*pairs, *((None, item) for number, item in enumerate(second) if number not in taken)]


def _compared(first: Part | None, second: Part | None) -> PartDifference:
    return PartDifference(
        first,
        second,
        layers=tuple(_layer_changes(first.layers if first else (), second.layers if second else ())),
        changes=tuple(_changes(_says(first), _says(second))) if first and second else (),
        history=tuple(_history_changes(first.history, second.history)) if first and second else (),
        sizes=_sizes(_blobs([first]), _blobs([second])),
    )


def _layer_changes(first: Sequence[LayerPart], second: Sequence[LayerPart]) -> Iterator[LayerChange]:
    same = _matched(first, second, lambda layer: layer.digest, lambda layer: layer.digest)
    rest = [layer for layer, other in same if layer is not None and other is None]
    others = [other for layer, other in same if other is not None and layer is None]
    alike = _matched(rest, others, _content, _content)
    partners = iter([other for layer, other in alike if layer is not None])
    for layer, other in same:
        if layer is not None:
            yield LayerChange(layer, next(partners) if other is None else other)
    yield from (LayerChange(None, other) for layer, other in alike if layer is None)


def _content(layer: LayerPart) -> Hashable:
    """What is the same for two layers that differ in compression only."""
    return layer.diff_id or layer.digest


def _history_changes(first: Sequence[HistoryEntry], second: Sequence[HistoryEntry]) -> Iterator[HistoryChange]:
    start = 0
    while start < min(len(first), len(second)) and _step(first[start]) == _step(second[start]):
        start += 1
    first, second = first[start:], second[start:]
    only_first, only_second = _only(first, second), _only(second, first)
    if not only_first and not only_second:  # the same steps in another order
        only_first, only_second = list(first), list(second)
    yield from (HistoryChange(Side.FIRST, entry) for entry in only_first)
    yield from (HistoryChange(Side.SECOND, entry) for entry in only_second)


def _only(entries: Sequence[HistoryEntry], others: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    known = Counter(map(_step, others))
    found = []
    for entry in entries:
        known[_step(entry)] -= 1
        if known[_step(entry)] < 0:
            found.append(entry)
    return found


def _step(entry: HistoryEntry) -> HistoryEntry:
    """What was done, whenever that was."""
    return entry._replace(created=None)


def _says(part: Part | None) -> dict[str, Any]:
    """What manifest and config say, by name."""
    if part is None:
        return {}
    settings = {name: value for name, value in part.config_members.items() if name not in _COMPARED_ELSEWHERE}
    return {**_manifest_says(part), **dict(_named("config", settings))}


def _manifest_says(part: Part) -> dict[str, Any]:
    return {
        "media type": part.descriptor.media_type,
        "artifact type": part.artifact_type or None,
        "subject": str(part.subject) if part.subject else None,
        "problem": part.problem or None,
        **{f"annotation {name}": value for name, value in part.annotations.items()},
        **{f"entry annotation {name}": value for name, value in (part.descriptor.annotations or {}).items()},
    }


def _named(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The values inside ``value`` with names that lead there; variables of an environment by their own."""
    if name.endswith(".Env") and (variables := _variables(value)) is not None:
        value = variables
    if not isinstance(value, Mapping) or depth == _NAME_DEPTH or (not value and depth >= _SET_MEMBER_DEPTH):
        yield name, value
        return
    for key, inner in value.items():
        yield from _named(f"{name}.{key}" if depth else key, inner, depth + 1)


def _variables(value: Any) -> dict[str, str] | None:
    """The environment by name, None if it is none, or not clear."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    variables = dict(item.partition("=")[::2] for item in value)
    return variables if len(variables) == len(value) else None


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*first, *second)):
        one, other = first.get(name), second.get(name)
        if one is not other and dump_json(one) != dump_json(other):
            yield Change(name, one, other)


def _blobs(parts: Iterable[Part | None]) -> dict[Digest, int]:
    blobs: dict[Digest, int] = {}
    for part in parts:
        blobs |= part.blobs() if part else {}
    return blobs


def _sizes(first: Mapping[Digest, int], second: Mapping[Digest, int]) -> Sizes:
    return Sizes(
        shared=total({digest: size for digest, size in first.items() if digest in second}),
        only_first=total({digest: size for digest, size in first.items() if digest not in second}),
        only_second=total({digest: size for digest, size in second.items() if digest not in first}),
    )
