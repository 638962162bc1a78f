"""The tags of a repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from transship.errors import InvalidDigestError, InvalidReferenceError, ListingRefusedError, TransportError
from transship.image.digest import Digest
from transship.image.quoting import quoted
from transship.image.reference import DockerReference
from transship_docker.client import Answer, RegistryClient
from transship_docker.errors import RegistryError, while_doing

PAGE_LIMIT = 8 << 20
"""One page may be this long: registries that know no pages give all tags at once."""

TOTAL_LIMIT = 64 << 20
"""All pages together may be this long."""

COUNT_LIMIT = 1_000_000
"""There may be this many tags."""

_PAGES = 10_000
_LINK_LIMIT = 8 << 10


def iterate_tags(client: RegistryClient, repository: DockerReference) -> Iterator[str]:
    """All tags in the registry's order, page by page; raises ``TransportError``."""
    path = f"/v2/{repository.path}/tags/list"
    seen: set[str] = set()
    total = count = 0
    while path:
        if path in seen or len(seen) >= _PAGES:
            raise TransportError("fetching tags list: the pages of tags never end")
        seen.add(path)
        with while_doing("fetching tags list"):
            response = _page(client, path)
            total += len(response.content)
            if total > TOTAL_LIMIT:
                raise TransportError(f"exceeded maximum allowed size of {TOTAL_LIMIT} bytes")
            tags = _tags_of(response.content)
            count += len(tags)
            if count > COUNT_LIMIT:
                raise TransportError(f"more than {COUNT_LIMIT} tags")
            path = next_page(response.headers.get("link", ""), response.url)
        for tag in tags:
            if _is_tag(tag, repository):
                yield tag


def _page(client: RegistryClient, path: str) -> Answer:
    try:
        return client.request("GET", path, limit=PAGE_LIMIT)
    except RegistryError as error:
        if error.code == "DENIED" or (error.code == "UNKNOWN" and error.detail == "404 page not found"):
            raise ListingRefusedError(str(error)) from error
        raise


def _tags_of(body: bytes) -> list[Any]:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError):
        raise TransportError("the registry's answer is not JSON") from None
    tags = page.get("tags") if isinstance(page, dict) else page
    if not isinstance(page, dict) or not isinstance(tags, list | None):
        raise TransportError("the registry's answer is no list of tags")
    return tags or []


def _is_tag(tag: Any, repository: DockerReference) -> bool:
    if not isinstance(tag, str):
        raise TransportError("fetching tags list: the registry's answer is no list of tags")
    if not tag or _looks_like_digest(tag):
        return False
    try:
        DockerReference(repository.domain, repository.path, tag)
    except InvalidReferenceError:
        raise TransportError(f"fetching tags list: registry returned invalid tag {quoted(tag)}") from None
    return True


def _looks_like_digest(text: str) -> bool:
    try:
        Digest.parse(text)
    except InvalidDigestError:
        return False
    return True


def next_page(link: str, base: str) -> str:
    """Path and query of the next page, ``""``: this was the last. A host in it is ignored."""
    target = link.partition(";")[0].strip().removeprefix("<").removesuffix(">")
    if not target or len(link) > _LINK_LIMIT:
        return ""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise TransportError("the address of the next page is invalid") from None
    path = parts.path if parts.path.startswith("/") else urlsplit(base).path
    return f"{path}?{parts.query}" if parts.query else path
