"""Words, numbers and texts as people read them, whatever the picture is drawn with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from transship.anatomy.parts import Kind, LayerPart, Part, SignaturePart, attested_digest
from transship.cli.sizes import size_text
from transship.image.config import HistoryEntry
from transship.image.digest import Digest

SHOWN = 100
"""So many layers, steps of a history, settings or annotations of one image are shown; the JSON form has all."""

_TEXT_LIMIT = 4000
_SHORT = 12
_ARTIFACTS = {
    "application/vnd.cncf.helm.config.v1+json": "Helm chart",
    "application/vnd.cncf.notary.signature": "Notary signature",
    "application/vnd.cyclonedx+json": "CycloneDX bill of materials",
    "application/vnd.cyclonedx+xml": "CycloneDX bill of materials",
    "application/vnd.dev.cosign.simplesigning.v1+json": "cosign signature",
    "application/vnd.dev.sigstore.bundle.v0.3+json": "Sigstore bundle",
    "application/vnd.dsse.envelope.v1+json": "signed attestation",
    "application/vnd.in-toto+json": "in-toto attestation",
    "application/vnd.wasm.config.v0+json": "WebAssembly module",
    "application/spdx+json": "SPDX bill of materials",
    "text/spdx": "SPDX bill of materials",
    "text/spdx+json": "SPDX bill of materials",
}
_SHELL = "/bin/sh -c #(nop) "
_TITLE = "org.opencontainers.image.title"
_PREDICATE = "in-toto.io/predicate-type"


def one_line(text: str) -> str:
    """A stranger's text on one line: blanks are one blank, and what does not print is an escape."""
    shown = text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "…"
    return "".join(char if char.isprintable() else _escape(char) for char in " ".join(shown.split()))


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def counted(number: int, noun: str) -> str:
    """``1 layer``, ``2 layers``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short(digest: Digest) -> str:
    """Enough of a digest to tell it from its neighbours."""
    return digest.encoded[:_SHORT]


def platform_text(part: Part) -> str:
    """``linux/arm64/v8``, ``""`` where nobody says it."""
    if part.platform is None:
        return ""
    version = f" ({part.platform.os_version})" if part.platform.os_version else ""
    return one_line(f"{part.platform}{version}")


def artifact_text(part: Part) -> str:
    """What an artifact is, in words if its type is a well-known one."""
    return _ARTIFACTS.get(part.artifact_type) or one_line(f"artifact {part.artifact_type}".rstrip())


def title(part: Part, siblings: Sequence[Part] = ()) -> str:
    """What a part is. ``siblings`` are those in the same index."""
    if part.kind is Kind.INDEX:
        return "index" + (f" of type {one_line(part.artifact_type)}" if part.artifact_type else "")
    if part.kind is Kind.ATTESTATION:
        digest = attested_digest(part.descriptor)
        attested = next((sibling for sibling in siblings if sibling.digest == digest), None)
        return f"attestation for {platform_text(attested)}" if attested and attested.platform else "attestation"
    if part.kind is Kind.ARTIFACT:
        return " ".join(filter(None, (artifact_text(part), platform_text(part))))
    return platform_text(part) or "image"


def full_title(part: Part) -> str:
    """What a part is that stands alone, not in a list of platforms."""
    name = title(part)
    return f"image for {name}" if part.kind is Kind.IMAGE and part.platform else name


def contents_text(part: Part) -> str:
    """How much there is in a part."""
    if part.problem and part.config is None and not part.layers and not part.members:
        return "not read"
    if part.kind is not Kind.INDEX:
        layers = counted(len(part.layers), "layer")
        return f"{size_text(part.size)} in {layers}" if part.layers else size_text(part.size)
    words = [counted(count, noun) for kind, noun in _MEMBERS if (count := _count(part.members, kind))]
    if part.members_left_out:
        words.append(f"{part.members_left_out:,} more that were not looked at")
    shared = f", of which {size_text(part.shared_size)} are shared" if part.shared_size > 0 else ""
    of_these = "" if part.is_complete else " in what was looked at"
    return f"{', '.join(words) or 'empty'}; {size_text(part.size)}{shared}{of_these}"


_MEMBERS = (
    (Kind.IMAGE, "image"),
    (Kind.INDEX, "index in it"),
    (Kind.ARTIFACT, "artifact"),
    (Kind.ATTESTATION, "attestation"),
)


def _count(parts: Iterable[Part], kind: Kind) -> int:
    return sum(1 for part in parts if part.kind is kind)


def layer_text(layer: LayerPart) -> str:
    """What is known of a layer: the step that made it, or its name, or what it holds."""
    annotations = layer.descriptor.annotations or {}
    known = (
        layer.created_by.removeprefix(_SHELL),
        annotations.get(_TITLE, ""),
        annotations.get(_PREDICATE, ""),
        layer.descriptor.media_type,
    )
    text = one_line(next(filter(None, known), ""))
    return f"{text} (kept elsewhere)" if layer.descriptor.urls else text


def step_text(entry: HistoryEntry) -> str:
    """One step of a history."""
    step = entry.created_by.removeprefix(_SHELL)
    return one_line(f"{step} ({entry.comment})" if step and entry.comment else step or entry.comment)


def value_text(value: Any) -> str:
    """A value of a config or annotation."""
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def signature_text(signature: SignaturePart) -> str:
    """A signature that nobody has verified."""
    return f"signature, {one_line(signature.format)}, {size_text(signature.size)}, not verified"


def shared_layers(part: Part) -> set[Digest]:
    """The layers that several members of an index have."""
    seen: set[Digest] = set()
    shared: set[Digest] = set()
    for member in part.members:
        own = {layer.digest for layer in member.layers}
        shared |= seen & own
        seen |= own
    return shared
