"""The platform of the machine that this runs on."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping

from transship.image.platform import Platform

_CPUINFO = "/proc/cpuinfo"
_CPUINFO_LIMIT = 1 << 20

_SYSTEMS = {"win32": "windows", "cygwin": "windows"}
_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "aarch64_be": "arm64be",
    "loongarch64": "loong64",
    "mipsel": "mipsle",
    "mips64el": "mips64le",
}
_INTEL_32 = r"i[3-6]?86"
_ARM_32 = r"arm(v[0-9].*)?"


def machine_platform() -> Platform:
    """Operating system and architecture of this machine, with the variant where it is an ARM."""
    architecture = _architecture(platform.machine())
    return Platform(_system(sys.platform), architecture, _variant(architecture))


def _system(name: str) -> str:
    return _SYSTEMS.get(name, re.sub(r"[0-9]+$", "", name))


def _architecture(machine: str) -> str:
    machine = machine.lower()
    if re.fullmatch(_INTEL_32, machine):
        return "386"
    if re.fullmatch(_ARM_32, machine):
        return "arm"
    return _ARCHITECTURES.get(machine, machine)


def _variant(architecture: str) -> str:
    if architecture not in ("arm", "arm64"):
        return ""
    try:
        with open(_CPUINFO, encoding="utf-8", errors="replace") as file:
            return variant_of(_first_processor(file.read(_CPUINFO_LIMIT)))
    except OSError:
        return ""


def _first_processor(cpuinfo: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            facts.setdefault(key.strip().lower(), value.strip())
    return facts


def variant_of(cpu: Mapping[str, str]) -> str:
    """The variant of an ARM processor by what ``/proc/cpuinfo`` says (keys in lower case), ``""`` if none."""
    value = cpu.get("cpu architecture", "").lower()
    if value.startswith("7") and cpu.get("model name", "").lower().startswith("armv6-compatible"):
        return "v6"  # the first Raspberry Pi calls its ARMv6 a 7
    if value in ("8", "aarch64"):
        return "v8"
    return f"v{value[0]}" if value[:1] in ("7", "6", "5", "4", "3") else ""
