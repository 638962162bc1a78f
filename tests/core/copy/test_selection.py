"""Which instances of an index are copied."""

from __future__ import annotations

import json

import pytest

from transship.copy.options import CopyOptions, MultiArch
from transship.copy.selection import chosen_positions
from transship.errors import UnsupportedError
from transship.image.digest import digest_of
from transship.image.index import parse_index
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.image.platform import Platform
from transship.testing.images import PLATFORMS, docker_list, oci_index

MACHINE = Platform("linux", "amd64")


def _index(image):
    return parse_index(image.manifest, image.media_type)


@pytest.fixture(params=[oci_index, docker_list])
def index(request):
    return _index(request.param())


def test_all_are_all(index):
    assert chosen_positions(index, CopyOptions(multi_arch=MultiArch.ALL), MACHINE) == list(range(len(PLATFORMS)))


def test_index_only_is_none(index):
    assert chosen_positions(index, CopyOptions(multi_arch=MultiArch.INDEX_ONLY), MACHINE) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["linux/amd64"], [0]),
        (["linux/s390x", "linux/amd64"], [0, 4]),
        (["linux/arm64"], [1]),
        (["linux/arm64/v8", "linux/arm64"], [1]),
        (["linux/arm/v7"], [2]),
    ],
)
def test_platforms_are_found_in_the_order_of_the_index(index, names, expected):
    options = CopyOptions(multi_arch=MultiArch.PLATFORMS, platforms=tuple(map(Platform.parse, names)))
    assert chosen_positions(index, options, MACHINE) == expected


@pytest.mark.parametrize("names", [["windows/amd64"], ["linux/amd64", "linux/mips"]])
def test_platform_that_is_not_there_is_refused_even_beside_others(index, names):
    options = CopyOptions(multi_arch=MultiArch.PLATFORMS, platforms=tuple(map(Platform.parse, names)))
    with pytest.raises(UnsupportedError):
        chosen_positions(index, options, MACHINE)


def test_no_platform_is_refused(index):
    with pytest.raises(UnsupportedError):
        chosen_positions(index, CopyOptions(multi_arch=MultiArch.PLATFORMS), MACHINE)


def test_big_index_of_one_platform_is_soon_searched(in_time):
    entry = {"mediaType": OCI_MANIFEST, "size": 2, "platform": {"os": "linux", "architecture": "arm64"}}
    entries = [entry | {"digest": str(digest_of(b"%d" % number))} for number in range(9_999)]
    entries.append(
        entries[0] | {"digest": str(digest_of(b"amd64")), "platform": {"os": "linux", "architecture": "amd64"}}
    )
    data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    options = CopyOptions(multi_arch=MultiArch.PLATFORMS, platforms=(Platform("linux", "amd64"),))
    index = parse_index(data, OCI_INDEX)
    assert in_time(lambda: chosen_positions(index, options, MACHINE)) == [9_999]
