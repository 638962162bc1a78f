"""Which instances of an index are copied."""

from __future__ import annotations

from transship.copy.options import CopyOptions, MultiArch
from transship.errors import UnsupportedError
from transship.image.index import Index, choose
from transship.image.platform import Platform, PlatformRequest, wanted_platforms


def chosen_positions(index: Index, options: CopyOptions, machine: Platform) -> list[int]:
    """The positions in ``index`` of the instances to copy, in index order."""
    if options.multi_arch is MultiArch.ALL:
        return list(range(len(index.instances)))
    if options.multi_arch is MultiArch.INDEX_ONLY:
        return []
    positions = set()
    for platform in options.platforms:
        request = PlatformRequest(platform.os, platform.architecture, platform.variant)
        digest = choose(index, wanted_platforms(request, machine))
        chosen = next(entry.platform for entry in index.instances if entry.descriptor.digest == digest)
        positions |= {
            number
            for number, instance in enumerate(index.instances)
            if instance.descriptor.digest == digest or _is_same_platform(instance.platform, chosen)
        }
    if not positions:
        raise UnsupportedError("no platform of the index was chosen")
    return sorted(positions)


def _is_same_platform(platform: Platform | None, chosen: Platform | None) -> bool:
    """The same platform in another compression belongs to the choice."""
    return platform is not None and platform == chosen
