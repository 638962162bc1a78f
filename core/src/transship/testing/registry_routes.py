"""From the path of a request to the function that answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from transship.errors import InvalidDigestError
from transship.image.digest import Digest
from transship.testing.registry_messages import Refusal, Request, Response

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_NAME_LIMIT = 255
_ACTIONS = {"GET": ("pull",), "HEAD": ("pull",), "DELETE": ("delete",)}

Answer = Callable[[Request, str, str], Response]
"""Takes the request, the repository and the last part of the path."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the registry can do and how it does it. ``Registry`` explains each."""

    referrers: bool = True
    delete_enabled: bool = True
    delete_tags: bool = True
    page_size: int = 0
    schema1: bool = True
    manifest_types: frozenset[str] | None = None
    sparse_indexes: bool = False
    signatures_extension: bool = False
    mount: bool = True
    mount_anywhere: bool = False
    monolithic: bool = True
    min_chunk: int = 0
    keeps_cut_uploads: bool = True
    upload_limit: int = 4 << 30
    blob_redirect: bool = False
    absolute_locations: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A kind of path and what answers each method.

    ``is_open``: nobody has to say who they are. ``is_here`` and ``is_elsewhere``: the registry itself has it, its
    second origin has it.
    """

    pattern: str
    methods: Mapping[str, Answer]
    is_open: bool = False
    is_here: bool = True
    is_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Where a request leads. ``needs`` are the repositories and actions that it must be allowed."""

    route: Route
    answer: Answer
    repository: str = ""
    last: str = ""
    needs: list[tuple[str, str]] = field(default_factory=list)


class Router:
    """All routes, the most special first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(re.compile(route.pattern), route) for route in routes]

    def find(self, request: Request) -> Found:
        """The function for this request; a ``Refusal`` if there is none."""
        for pattern, route in self._routes:
            if found := pattern.fullmatch(request.path):
                groups = found.groupdict()
                name, last = groups.get("name", ""), groups.get("last", "")
                if "name" in groups:
                    check_name(name)
                answer = route.methods.get(request.method)
                if answer is None:
                    raise Refusal(405, "UNSUPPORTED", headers={"Allow": ", ".join(route.methods)})
                return Found(route, answer, name, last, _needs(request, name))
        raise Refusal(404, "UNSUPPORTED", "no such endpoint")


def _needs(request: Request, name: str) -> list[tuple[str, str]]:
    if not name:
        return []
    needs = [(name, action) for action in _ACTIONS.get(request.method, ("pull", "push"))]
    other = request.parameter("from")
    is_mount = request.method == "POST" and request.parameter("mount") and other and other != name
    return [*needs, (other, "pull")] if is_mount else needs


def check_name(name: str) -> None:
    """Refuse what cannot be a repository."""
    if len(name) > _NAME_LIMIT or not _NAME.fullmatch(name):
        raise Refusal(400, "NAME_INVALID", "invalid repository name")


def digest_in(text: str) -> Digest:
    """The digest that a path or query names; a ``Refusal`` if it is none."""
    try:
        return Digest.parse(text)
    except InvalidDigestError as error:
        raise Refusal(400, "DIGEST_INVALID", str(error)) from None
