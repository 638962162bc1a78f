from __future__ import annotations

import pytest

from transship.errors import InvalidReferenceError
from transship.image.platform import Platform, PlatformRequest, wanted_platforms

AMD64 = Platform("linux", "amd64")


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm/v7", "windows/amd64"])
def test_platforms_are_read_and_written(text):
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "a/b/", "a b/c", "a/b\n", "x" * 10**6])
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidReferenceError):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("request_", "machine", "variants"),
    [
        (PlatformRequest(), AMD64, [""]),
        (PlatformRequest(), Platform("linux", "arm64", "v8"), ["v8", ""]),
        (PlatformRequest(), Platform("linux", "arm", "v7"), ["v7", "v6", "v5", ""]),
        (PlatformRequest(architecture="arm64"), Platform("linux", "arm64", "v8"), ["", "v8"]),
        (PlatformRequest(architecture="arm"), AMD64, ["", "v8", "v7", "v6", "v5"]),
        (PlatformRequest(architecture="arm", variant="v6"), AMD64, ["v6", "v5", ""]),
        (PlatformRequest(architecture="arm64", variant="v9"), AMD64, ["v9", ""]),
        (PlatformRequest(variant="v2"), AMD64, ["v2", ""]),
    ],
)
def test_variants_are_wanted_in_order(request_, machine, variants):
    wanted = wanted_platforms(request_, machine)
    architecture = request_.architecture or machine.architecture
    assert wanted == tuple(Platform("linux", architecture, variant) for variant in variants)


def test_the_system_can_be_overridden_alone():
    assert wanted_platforms(PlatformRequest(os="windows"), AMD64) == (Platform("windows", "amd64"),)
