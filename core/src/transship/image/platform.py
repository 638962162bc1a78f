"""Platforms, and which of them fit a machine or a wish (OCI image-spec image-index.md)."""

from __future__ import annotations

import re
from typing import NamedTuple

from transship.errors import InvalidReferenceError

_WORD = r"[A-Za-z0-9_.-]{1,64}"

_COMPATIBLE_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "arm64": ("v8",)}
"""Per architecture its variants, each able to run those after it."""


class Platform(NamedTuple):
    """What an image runs on, in Go's words: ``linux``, ``arm64``, ``v8``. ``""`` and ``()``: not said.

    ``features`` occurs in docker lists only.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/architecture`` or ``os/architecture/variant``; raise ``InvalidReferenceError`` else."""
        words = text.split("/", 3)
        if len(words) not in (2, 3) or not all(re.fullmatch(_WORD, word) for word in words):
            raise InvalidReferenceError(f"invalid platform {text[:140]!r}, expected OS/ARCHITECTURE[/VARIANT]")
        return cls(words[0], words[1], words[2] if len(words) == 3 else "")

    def __str__(self) -> str:
        return "/".join((self.os, self.architecture, *([self.variant] if self.variant else [])))


class PlatformRequest(NamedTuple):
    """Which platform was asked for; ``""`` stands for the machine's."""

    os: str = ""
    architecture: str = ""
    variant: str = ""


def wanted_platforms(request: PlatformRequest, machine: Platform) -> tuple[Platform, ...]:
    """The platforms that fit ``request`` on ``machine``, best first."""
    os = request.os or machine.os
    architecture = request.architecture or machine.architecture
    variant = request.variant or ("" if request.architecture else machine.variant)
    return tuple(Platform(os, architecture, choice) for choice in _variants(architecture, variant))


def _variants(architecture: str, variant: str) -> tuple[str, ...]:
    known = _COMPATIBLE_VARIANTS.get(architecture, ())
    if not variant:
        return ("", *known)
    if variant not in known:
        return (variant, "")
    return (*known[known.index(variant) :], "")
