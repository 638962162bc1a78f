"""Layers that lie elsewhere: the ``urls`` of non-distributable layers (OCI image-spec descriptor.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from transship.image.media_types import (
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
)
from transship_docker.addresses import origin_of
from transship_docker.errors import ERROR_BODY_LIMIT, refusal, while_doing
from transship_docker.network import Network
from transship_docker.responses import read_what_comes

if TYPE_CHECKING:
    from transship.image.descriptor import Descriptor
    from transship_docker.downloads import OpenPlace
    from transship_docker.messages import Response

_TYPES = (
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
)
_MAX_URLS = 20


def fetchable_urls(descriptor: Descriptor) -> list[str]:
    """The addresses a blob may be fetched from; none for layers that are meant to be distributed."""
    if descriptor.media_type not in _TYPES:
        return []
    return [url for url in descriptor.urls if _is_usable(url)][:_MAX_URLS]


def external_places(network: Network, urls: Iterable[str]) -> list[OpenPlace]:
    """How to ask each of ``urls``: without credentials, whatever it answers."""
    return [_place(network, url) for url in urls]


def _place(network: Network, url: str) -> OpenPlace:
    def ask(headers: Mapping[str, str]) -> Response:
        with while_doing("failed fetching external blob from all urls"):
            response = network.send("GET", url, headers)
            accepted = (200, 206, 416) if "Range" in headers else (200,)
            if response.status_code not in accepted:
                raise refusal(response, read_what_comes(response, ERROR_BODY_LIMIT))
            return response

    return ask


def _is_usable(url: str) -> bool:
    try:
        scheme, host, _ = origin_of(url)
    except ValueError:
        return False
    return scheme in ("http", "https") and bool(host) and "@" not in url.partition("//")[2].partition("/")[0]
