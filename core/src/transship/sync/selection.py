"""Which tags of a repository are wanted."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar, get_args

from transship.errors import TransshipError
from transship.sync.regex import Regex, compile_regex
from transship.sync.versions import Constraint, VersionOrder, parse_version, version_order

NewestBy = Literal["version", "created"]


@dataclass(frozen=True, slots=True)
class TagSelection:
    """Some tags, by name and by age.

    A tag is wanted if any regular expression of ``include`` is found in it (all tags, if there are none), none of
    ``exclude`` is, and it is a version that the constraint ``semver`` admits (``""``: any tag). Of those, ``newest``
    keeps that many (None: all): the highest versions, or those created last. A tag without a version, or without a
    time of creation, is then none of them.

    Raises ``TransshipError`` if anything of it makes no sense.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    semver: str = ""
    newest: int | None = None
    newest_by: NewestBy = "version"

    def __post_init__(self) -> None:
        _Filter(self)
        if self.newest is not None and self.newest < 1:
            raise TransshipError(f"the newest {self.newest} tags cannot be chosen, at least 1")
        if self.newest_by not in get_args(NewestBy):
            raise TransshipError(
                f'newest by "{self.newest_by}" is not known, only by {" or ".join(get_args(NewestBy))}'
            )

    @property
    def is_everything(self) -> bool:
        """Whether no tag is left out."""
        return not (self.include or self.exclude or self.semver or self.newest is not None)

    @property
    def needs_created(self) -> bool:
        """Whether ``select`` must be told when images were created."""
        return self.newest is not None and self.newest_by == "created"

    def candidates(self, tags: Iterable[str]) -> Iterator[str]:
        """The tags that are wanted by their name alone, in their order, one by one."""
        return filter(_Filter(self).admits, tags)

    def select(self, tags: Iterable[str], created_of: Callable[[str], datetime | None] | None = None) -> list[str]:
        """The tags that are wanted, in their order.

        ``created_of`` says when the image of a tag was created, None if that is not known; it is asked only if
        ``needs_created``, and for ``candidates`` only. ``get`` of a mapping will do. A time without a zone is UTC.
        """
        wanted = self.candidates(tags)
        if self.newest is None:
            return list(wanted)
        if not self.needs_created:
            return _greatest(self.newest, wanted, version_order)
        if created_of is None:
            raise ValueError("the newest by creation cannot be chosen without created_of")
        return _greatest(self.newest, wanted, lambda tag: _creation_order(tag, created_of(tag)))


class _Filter:
    def __init__(self, selection: TagSelection) -> None:
        self._include: list[Regex] = [compile_regex(pattern) for pattern in selection.include]
        self._exclude: list[Regex] = [compile_regex(pattern) for pattern in selection.exclude]
        self._constraint = Constraint.parse(selection.semver) if selection.semver else None

    def admits(self, tag: str) -> bool:
        if self._include and not any(regex.search(tag) for regex in self._include):
            return False
        if any(regex.search(tag) for regex in self._exclude):
            return False
        return self._constraint is None or self._is_admitted_version(tag, self._constraint)

    @staticmethod
    def _is_admitted_version(tag: str, constraint: Constraint) -> bool:
        version = parse_version(tag)
        return version is not None and constraint.admits(version)


_CreationOrder = tuple[datetime, bool, VersionOrder, str]
_Order = TypeVar("_Order", VersionOrder, _CreationOrder)
_NO_VERSION: VersionOrder = ((), False, (), "")


def _creation_order(tag: str, created: datetime | None) -> _CreationOrder | None:
    if created is None:
        return None
    order = version_order(tag)
    aware = created if created.tzinfo else created.replace(tzinfo=UTC)
    return (aware, order is not None, order or _NO_VERSION, tag)


def _greatest(count: int, tags: Iterable[str], order_of: Callable[[str], _Order | None]) -> list[str]:
    ranked = ((order, position, tag) for position, tag in enumerate(tags) if (order := order_of(tag)) is not None)
    return [tag for _, _, tag in sorted(heapq.nlargest(count, ranked), key=lambda entry: entry[1])]
