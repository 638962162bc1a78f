"""What images are called at the destination of a sync."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from transship.errors import TransshipError
from transship.image.quoting import quoted
from transship.image.reference import DockerReference

_TEMPLATE_LIMIT = 1024
_PIECE = re.compile(r"(?P<literal>(?:[^{}]|\{\{|\}\})++)|\{(?P<field>[^{}]*+)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SourceName:
    """The parts of the name of a source image; ``""`` for those that it does not have.

    ``registry`` has its port, ``repository`` is the path there, or below the folder of the source. ``tag`` and
    ``digest`` are what the image is named by.
    """

    registry: str = ""
    repository: str = ""
    tag: str = ""
    digest: str = ""

    @classmethod
    def of_reference(cls, reference: DockerReference) -> SourceName:
        """The name of an image in a registry."""
        return cls(reference.domain, reference.path, reference.tag, str(reference.digest or ""))

    @classmethod
    def of_folder(cls, path: str) -> SourceName:
        """The name of an image in a folder at ``path``, which may end in ``:TAG`` or ``@DIGEST``."""
        parent, slash, last = clean_path(path).rpartition("/")
        if "@" in last:
            name, _, digest = last.partition("@")
            return cls("", parent + slash + name, "", digest)
        name, _, tag = last.partition(":")
        return cls("", parent + slash + name, tag)

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields that templates know, with their values."""
        namespace, _, name = self.repository.rpartition("/")
        return {
            "registry": self.registry,
            "host": self.registry.partition(":")[0],
            "repository": self.repository,
            "namespace": namespace,
            "name": name,
            "tag": self.tag,
            "digest": self.digest,
            "hex": self.digest.partition(":")[2],
            "ending": f"@{self.digest}" if self.digest else self.tag and f":{self.tag}",
        }


FIELDS = tuple(SourceName().fields)
"""The fields of templates."""

_MAY_BE_EMPTY = frozenset({"registry", "host", "namespace", "ending"})


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """A name with fields in braces, such as ``{repository}:{tag}``; ``{{`` and ``}}`` stand for braces.

    Raises ``TransshipError`` for fields that are not known.
    """

    text: str

    def __post_init__(self) -> None:
        _pieces(self.text)

    def fill(self, source: SourceName) -> str:
        """The name that ``source`` gets; raise ``TransshipError`` if it lacks what a field stands for."""
        fields = source.fields
        return "".join(literal or self._value(field, fields) for literal, field in _pieces(self.text))

    @property
    def needs_digest(self) -> bool:
        """Whether it cannot be filled without a digest."""
        return any(field in ("digest", "hex") for _, field in _pieces(self.text))

    def _value(self, field: str, fields: Mapping[str, str]) -> str:
        if not fields[field] and field not in _MAY_BE_EMPTY:
            name = "/".join(filter(None, (fields["registry"], fields["repository"] + fields["ending"])))
            raise TransshipError(f"naming {quoted(name)} by {quoted(self.text)}: it has no {field}")
        return fields[field]


@lru_cache(maxsize=64)
def _pieces(template: str) -> tuple[tuple[str, str], ...]:
    """The pieces of a template, each a literal or else a field."""
    if not template or len(template) > _TEMPLATE_LIMIT:
        raise _wrong(template, f"it must have 1 to {_TEMPLATE_LIMIT} characters")
    pieces, position = [], 0
    while position < len(template):
        match = _PIECE.match(template, position)
        if match is None:
            raise _wrong(
                template, f"the brace at character {position + 1} has no other; {{{{ and }}}} stand for braces"
            )
        if match["field"] is not None and match["field"] not in FIELDS:
            raise _wrong(template, f"{quoted(match[0])} is not one of {', '.join(FIELDS)}")
        literal = (match["literal"] or "").replace("{{", "{").replace("}}", "}")
        pieces.append((literal, match["field"] or ""))
        position = match.end()
    return tuple(pieces)


def _wrong(template: str, reason: str) -> TransshipError:
    return TransshipError(f"invalid template {quoted(template)} for names: {reason}")


def registry_base(reference: DockerReference, *, scoped: bool) -> str:
    """The name of an image from a registry below the destination: in full, or its last component."""
    return _scoped(str(reference), scoped)


def folder_base(source: str, image: str, *, scoped: bool) -> str:
    """The name of the image in the folder ``image`` at or below the folder ``source``, below the destination.

    What is taken away is ``source`` as it was written: as for Skopeo, what lies in ``./usb`` begins with ``usb/``.
    """
    image = clean_path(image)
    below = image if source == "." else image.removeprefix(source).strip("/")
    return _scoped(below or clean_path(source).rpartition("/")[2], scoped)


def _scoped(base: str, scoped: bool) -> str:
    return base if scoped else base.rpartition("/")[2]


def destination_name(destination: str, base: str, append_suffix: str = "") -> str:
    """``base`` below ``destination``, with the suffix, as a clean path.

    Raises ``TransshipError`` if that is not below ``destination``.
    """
    if "/" in append_suffix:
        raise TransshipError(f"invalid suffix {quoted(append_suffix)} for names: it must not have a slash")
    name = base + append_suffix
    components = name.split("/")
    if _CONTROL.search(name) or ".." in components or clean_path(name) in (".", "/"):
        raise TransshipError(f"{quoted(name)} is no name below {quoted(destination)}")
    return clean_path(f"{destination}/{name}" if destination else name.lstrip("/"))


def clean_path(path: str) -> str:
    """``path`` without empty components, ``.``, and ``..`` after a name; ``.`` if nothing is left."""
    components: list[str] = []
    for component in path.split("/"):
        if component == ".." and components and components[-1] != "..":
            components.pop()
        elif component not in ("", ".") and not (component == ".." and path.startswith("/")):
            components.append(component)
    cleaned = "/".join(components)
    return f"/{cleaned}" if path.startswith("/") else cleaned or "."


class ClaimedNames:
    """Which source image has which name at the destination of one run.

    With ``nested``, names are folders that are replaced as a whole: none may be inside of another.
    """

    def __init__(self, *, nested: bool = False) -> None:
        self._nested = nested
        self._sources: dict[str, str] = {}
        self._parents: dict[str, str] = {}

    def has(self, name: str, source: str) -> bool:
        """Whether ``source`` was given just this name."""
        return self._sources.get(name) == source

    def claim(self, name: str, source: str) -> str | None:
        """Give ``name`` to ``source`` and return None; if it is taken, return who has it, maybe ``source`` itself."""
        holder = self._holder(name)
        if holder is None:
            self._sources[name] = source
            for parent in self._parents_of(name):
                self._parents.setdefault(parent, source)
        return holder

    def _holder(self, name: str) -> str | None:
        for place in (name, *self._parents_of(name)):
            if place in self._sources:
                return self._sources[place]
        return self._parents.get(name)

    def _parents_of(self, name: str) -> list[str]:
        if not self._nested:
            return []
        return [name[:position] for position, char in enumerate(name) if char == "/" and position]
