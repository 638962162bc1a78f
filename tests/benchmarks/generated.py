"""Layers and images of any size and number, of generated data."""

from __future__ import annotations

import random
import tarfile
from functools import cache
from pathlib import Path

from images import compressed_layer, finish_layout, put_image

_BLOCK = 4 << 20
_TAR_BLOCK = 512


@cache
def _block() -> bytes:
    source = random.Random(0)
    return source.randbytes(_BLOCK // 2) + bytes(source.choices(b"abcdefghijklmnop \n", k=_BLOCK // 2))


def large_layer(target: Path, size: int) -> Path:
    """A tar with one file of ``size`` bytes, half of them noise."""
    block = _block()
    member = tarfile.TarInfo("data")
    member.size = size
    with target.open("wb") as file:
        file.write(member.tobuf())
        for start in range(0, size, _BLOCK):
            file.write(block[: size - start])
        file.write(bytes(-size % _TAR_BLOCK + 2 * _TAR_BLOCK))
    return target


def image_layout(root: Path, count: int) -> None:
    """An OCI layout with the image ``x`` of ``count`` layers of 64 KiB."""
    root.mkdir()
    layers = [
        compressed_layer(large_layer(root / f"layer{number}.tar", (64 << 10) + number)) for number in range(count)
    ]
    finish_layout(root, {"x": put_image(root, layers)})


def images_layout(root: Path, count: int) -> None:
    """An OCI layout with ``count`` images that differ in their configs only."""
    root.mkdir()
    layer = compressed_layer(large_layer(root / "layer.tar", 16 << 10))
    finish_layout(root, {f"t{number}": put_image(root, [layer], label=str(number)) for number in range(count)})
