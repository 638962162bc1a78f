"""Descriptors: a pointer to content by media type, digest and size (OCI image-spec descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transship.image.digest import Digest


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Points to a blob or manifest.

    ``media_type`` is ``""`` and ``size`` is -1 (bytes) where unknown: schema 1 says neither. ``digest`` is None
    only for content that is still being made. ``urls`` is where a non-distributable layer may be fetched.
    ``extra`` holds every other member as parsed from JSON (``data``, ``platform``, ``artifactType`` and
    what nobody knows yet), untouched.
    """

    media_type: str
    digest: Digest | None
    size: int = -1
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.digest) if self.digest else "content of unknown digest"
