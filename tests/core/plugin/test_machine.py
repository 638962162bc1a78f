from __future__ import annotations

import platform
import sys

import pytest

from transship.plugin import machine


def test_this_machine_has_a_platform():
    here = machine.machine_platform()
    assert here.os == sys.platform
    assert here.architecture


@pytest.mark.parametrize(
    ("word", "architecture"),
    [
        ("x86_64", "amd64"),
        ("AMD64", "amd64"),
        ("i686", "386"),
        ("i386", "386"),
        ("armv7l", "arm"),
        ("armv6l", "arm"),
        ("aarch64", "arm64"),
        ("arm64", "arm64"),
        ("ppc64le", "ppc64le"),
        ("s390x", "s390x"),
        ("riscv64", "riscv64"),
        ("loongarch64", "loong64"),
    ],
)
def test_architectures_are_said_in_the_words_of_images(word, architecture, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: word)
    assert machine.machine_platform().architecture == architecture


@pytest.mark.parametrize(("word", "system"), [("linux", "linux"), ("darwin", "darwin"), ("win32", "windows")])
def test_systems_are_said_in_the_words_of_images(word, system, monkeypatch):
    monkeypatch.setattr(sys, "platform", word)
    assert machine.machine_platform().os == system


@pytest.mark.parametrize(
    ("cpu", "variant"),
    [
        ({"cpu architecture": "8"}, "v8"),
        ({"cpu architecture": "AArch64"}, "v8"),
        ({"cpu architecture": "7"}, "v7"),
        ({"cpu architecture": "7", "model name": "ARMv6-compatible processor rev 7"}, "v6"),
        ({"cpu architecture": "6TEJ"}, "v6"),
        ({"cpu architecture": "5te"}, "v5"),
        ({"cpu architecture": "odd"}, ""),
        ({}, ""),
    ],
)
def test_the_variant_comes_from_the_processor(cpu, variant):
    assert machine.variant_of(cpu) == variant
