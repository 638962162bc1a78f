"""Numbers of bytes as people read them."""

from __future__ import annotations

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size_text(size: int) -> str:
    """A number of bytes in binary units; -1: it is unknown."""
    if size < 0:
        return "unknown size"
    if size < 1024:
        return f"{size} B"
    power = 1
    while power < len(_UNITS) and size >= 1023.95 * 1024**power:  # what would be rounded to 1024.0
        power += 1
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"
