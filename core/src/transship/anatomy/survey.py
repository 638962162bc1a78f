"""Reading an image's manifests and configs, and what refers to it, within bounds. No layer is read."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transship.anatomy.parts import (
    Kind,
    LayerPart,
    Part,
    ReferrerPart,
    SignaturePart,
    attested_digest,
    is_attestation_entry,
)
from transship.copy.options import CopyOptions, MultiArch
from transship.copy.selection import chosen_positions
from transship.errors import (
    CancelledError,
    ContentMismatchError,
    DeadlineExceededError,
    InvalidManifestError,
    TransshipError,
)
from transship.image.config import ImageConfig, parse_config
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.identification import guess_media_type, manifest_digest, normalized_media_type
from transship.image.index import Index, parse_index
from transship.image.manifest import ImageManifest, OciManifest, Schema1Manifest, parse_manifest
from transship.image.media_types import IMAGE_TYPES, INDEX_TYPES, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from transship.image.platform import Platform
from transship.image.strict_json import load_json_object
from transship.image.subject import subject_of
from transship.inspection import open_image, read_config, read_top
from transship.places import Place
from transship.plugin.machine import machine_platform
from transship.plugin.transport import RawManifest, ReferrerSource, Source
from transship.retry import may_pass

MANIFEST_LIMIT = 200
"""So many manifests of one image are read unless more are asked for."""

BYTES_LIMIT = 16 << 20
"""Manifests and configs of one image are read up to so many bytes."""

DEPTH_LIMIT = 5
"""An index in an index has depth 1, as has what refers to an image."""

_CONFIGS_AT_ONCE = 6
_CONFIG_DEPTH = 32
_IN_TOTO = "application/vnd.in-toto+json"
_FILE_SYSTEM_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
_TOO_MUCH = f"not read, as there are more than {BYTES_LIMIT} bytes of manifests and configs"


@dataclass(frozen=True, slots=True)
class SurveyOptions:
    """What is looked at.

    ``platforms``: only these of an index, none: all. ``referrers``: also signatures and what else refers to the
    image. ``limit``: at most so many manifests are read.
    """

    platforms: tuple[Platform, ...] = ()
    referrers: bool = True
    limit: int = MANIFEST_LIMIT


def survey_image(place: Place, options: SurveyOptions | None = None) -> Part:
    """Read what ``place`` names; raises ``TransshipError`` if that cannot be read.

    What is missing or broken further inside is a part's ``problem``; but an error that may pass is raised.
    """
    with contextlib.closing(open_image(*place[:3])) as source:
        survey = _Survey(source, options or SurveyOptions())
        top = survey.read(read_top(source))
        configs = survey.read_configs()
    return _part(top, configs)


@dataclass(slots=True)
class _Node:
    """A manifest that is being read; ``descriptor`` has no media type and size before that if nobody said them."""

    descriptor: Descriptor
    depth: int = 0
    platform: Platform | None = None
    is_top: bool = False
    is_referrer: bool = False
    subject: Digest | None = None
    manifest: ImageManifest | None = None
    index: Index | None = None
    members: list[_Node] = field(default_factory=list)
    members_left_out: int = 0
    signatures: list[SignaturePart] = field(default_factory=list)
    referrers: list[tuple[str, _Node]] = field(default_factory=list)
    referrers_left_out: int = 0
    referrers_problem: str = ""
    problem: str = ""

    @property
    def kind(self) -> Kind:
        media_type = self.descriptor.media_type
        if media_type in INDEX_TYPES:
            return Kind.INDEX
        if _is_attestation(self.descriptor, self.manifest):
            return Kind.ATTESTATION
        if self.manifest is not None:
            return Kind.IMAGE if _is_file_system(self.manifest) else Kind.ARTIFACT
        return Kind.IMAGE if media_type in IMAGE_TYPES else Kind.ARTIFACT


class _Survey:
    """One source being read: nearest manifests first, so that what is left out is what is furthest away."""

    def __init__(self, source: Source, options: SurveyOptions) -> None:
        self._source = source
        self._options = options
        self._manifests_left = max(options.limit, 1) - 1
        self._bytes_left = BYTES_LIMIT
        self._waiting: deque[_Node] = deque()
        self._known: dict[Digest, RawManifest] = {}
        self._images: list[_Node] = []

    def read(self, raw: RawManifest) -> _Node:
        """The node of what the reference names, with all that is found from there."""
        digest = manifest_digest(raw.data, raw.media_type)
        top = _Node(Descriptor(raw.media_type, digest, len(raw.data)), is_top=True)
        self._enter(top, raw)
        while self._waiting:
            node = self._waiting.popleft()
            try:
                self._enter(node, self._read_manifest(node))
            except (TransshipError, OSError) as error:
                node.problem = _problem(error)
        return top

    def read_configs(self) -> dict[Digest, bytes | str]:
        """The configs of all images, or why one cannot be had."""
        wanted: dict[Digest, ImageManifest] = {}
        for node in self._images:
            config = node.manifest.config if node.manifest else None
            if node.manifest is None or config is None:
                continue
            self._bytes_left -= config.size  # for each image anew, as each will hold what the config says
            if self._bytes_left >= 0:
                wanted[config.digest] = node.manifest
            else:
                node.problem = f"config: {_TOO_MUCH}"
        if len(wanted) < 2 or not self._source.parallel:
            return {digest: self._config(manifest) for digest, manifest in wanted.items()}
        from concurrent.futures import ThreadPoolExecutor  # most images have one config

        pool = ThreadPoolExecutor(_CONFIGS_AT_ONCE, thread_name_prefix="transship-config")
        try:
            return dict(zip(wanted, pool.map(self._config, wanted.values()), strict=True))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _config(self, manifest: ImageManifest) -> bytes | str:
        try:
            return read_config(self._source, manifest) or b""
        except (TransshipError, OSError) as error:
            return _problem(error)

    def _read_manifest(self, node: _Node) -> RawManifest:
        expected = node.descriptor
        if self._bytes_left <= 0:
            raise InvalidManifestError(_TOO_MUCH)
        raw = self._known.get(expected.digest)
        if raw is None:
            raw = self._source.get_manifest(expected.digest)
            media_type = normalized_media_type(raw.media_type or expected.media_type or guess_media_type(raw.data))
            raw = self._known[expected.digest] = RawManifest(raw.data, media_type)
        if manifest_digest(raw.data, raw.media_type, expected.digest.algorithm) != expected.digest:
            raise ContentMismatchError(f"the manifest does not match its digest {expected.digest}")
        if expected.size not in (-1, len(raw.data)):
            raise ContentMismatchError(f"the manifest has {len(raw.data)} bytes, not {expected.size}")
        node.descriptor = expected._replace(media_type=raw.media_type, size=len(raw.data))
        return raw

    def _enter(self, node: _Node, raw: RawManifest) -> None:
        """Take in a manifest, and note what else is to be read because of it."""
        self._bytes_left -= len(raw.data)
        found_subject = subject_of(raw.data, raw.media_type)
        if node.subject not in (None, found_subject):
            raise InvalidManifestError(f"it is listed as referring to {node.subject}, but does not")
        if raw.media_type in INDEX_TYPES:
            node.index = parse_index(raw.data, raw.media_type)
            self._note_members(node, node.index)
        else:
            node.manifest = parse_manifest(raw.data, raw.media_type)
            if node.kind is Kind.IMAGE:
                self._images.append(node)
        node.subject = found_subject
        if self._options.referrers and node.kind is not Kind.ATTESTATION:
            try:
                self._note_referrers(node)
            except (TransshipError, OSError) as error:
                node.referrers_problem = _problem(error)

    def _note_members(self, node: _Node, index: Index) -> None:
        for position in self._positions(index) if node.is_top else range(len(index.instances)):
            entry = index.instances[position]
            member = _Node(entry.descriptor, node.depth + 1, entry.platform)
            if not self._may_read(member):
                continue
            node.members.append(member)
            if entry.descriptor.media_type in ("", *IMAGE_TYPES, *INDEX_TYPES):  # else it is no manifest
                self._waiting.append(member)
        node.members_left_out = len(index.instances) - len(node.members)

    def _positions(self, index: Index) -> Sequence[int]:
        """Those that were asked for, and what is said of them."""
        if not self._options.platforms:
            return range(len(index.instances))
        choice = CopyOptions(multi_arch=MultiArch.PLATFORMS, platforms=self._options.platforms)
        chosen = set(chosen_positions(index, choice, machine_platform()))
        digests = {index.instances[position].digest for position in chosen}
        said = {number for number, entry in enumerate(index.instances) if attested_digest(entry.descriptor) in digests}
        return sorted(chosen | said)

    def _note_referrers(self, node: _Node) -> None:
        if not node.is_referrer:
            signatures = self._source.get_signatures(None if node.is_top else node.descriptor.digest)
            node.signatures = [SignaturePart(signature.format, len(signature.payload)) for signature in signatures]
        if not isinstance(self._source, ReferrerSource):
            return
        for referrer in dict.fromkeys(self._source.list_referrers(node.descriptor.digest)):
            subject = None if referrer.tag else node.descriptor.digest
            found = _Node(Descriptor("", referrer.digest), node.depth + 1, is_referrer=True, subject=subject)
            if self._may_read(found):
                node.referrers.append((referrer.tag, found))
                self._waiting.append(found)
            else:
                node.referrers_left_out += 1

    def _may_read(self, node: _Node) -> bool:
        if node.depth > DEPTH_LIMIT or self._manifests_left <= 0:
            return False
        self._manifests_left -= 1
        return True


def _problem(error: TransshipError | OSError) -> str:
    """Why something is not there; raises what is no property of the image but of the moment."""
    if isinstance(error, CancelledError | DeadlineExceededError) or may_pass(error):
        raise error
    if isinstance(error, OSError):
        return ": ".join(filter(None, (error.filename, (error.strerror or str(error)).lower())))
    return str(error)


def _is_attestation(descriptor: Descriptor, manifest: ImageManifest | None) -> bool:
    if is_attestation_entry(descriptor):
        return True
    layers = manifest.layers if manifest else ()
    return bool(layers) and all(layer.descriptor.media_type == _IN_TOTO for layer in layers)


def _is_file_system(manifest: ImageManifest) -> bool:
    """Whether it is an image; cosign gives its signatures an image's config, but no layer of files."""
    types = [layer.descriptor.media_type for layer in manifest.layers]
    is_plain = not types or isinstance(manifest, Schema1Manifest)
    return manifest.is_image and (is_plain or any(each.startswith(_FILE_SYSTEM_LAYERS) for each in types))


def _part(node: _Node, configs: Mapping[Digest, bytes | str]) -> Part:
    part = Part(
        descriptor=node.descriptor,
        kind=node.kind,
        platform=node.platform,
        artifact_type=_artifact_type(node),
        annotations=_annotations(node),
        subject=node.subject if node.index or node.manifest else None,
        config=node.manifest.config if node.manifest else None,
        layers=_layers(node),
        members=tuple(_part(member, configs) for member in node.members),
        members_left_out=node.members_left_out,
        signatures=tuple(node.signatures),
        referrers=tuple(ReferrerPart(tag, _part(found, configs)) for tag, found in node.referrers),
        referrers_left_out=node.referrers_left_out,
        referrers_problem=node.referrers_problem,
        problem=node.problem,
    )
    if node.manifest is None or part.kind is not Kind.IMAGE or part.problem:
        return part
    try:
        data = _config_of(node.manifest, configs)
        members = load_json_object(data, "image config")
        _require_shallow(members)
        return _with_config(part, members, parse_config(data))
    except TransshipError as error:
        return replace(part, problem=f"config: {error}")


def _artifact_type(node: _Node) -> str:
    if node.kind is not Kind.ARTIFACT:
        return str(node.index.members.get("artifactType") or "") if node.index else ""
    if not isinstance(node.manifest, OciManifest):
        return node.descriptor.media_type
    if node.manifest.artifact_type != OCI_CONFIG or not node.manifest.layers:
        return node.manifest.artifact_type
    return node.manifest.layers[0].descriptor.media_type


def _annotations(node: _Node) -> Mapping[str, str]:
    is_oci = node.descriptor.media_type in (OCI_MANIFEST, OCI_INDEX)
    read = node.index or node.manifest
    return getattr(read, "members", {}).get("annotations") or {} if is_oci else {}


def _layers(node: _Node) -> tuple[LayerPart, ...]:
    layers = node.manifest.layers if node.manifest else ()
    return tuple(LayerPart(layer.descriptor, is_empty=layer.is_empty) for layer in layers)


def _config_of(manifest: ImageManifest, configs: Mapping[Digest, bytes | str]) -> bytes:
    if isinstance(manifest, Schema1Manifest):
        return manifest.document.schema2_config(())
    found = configs[manifest.config.digest] if manifest.config else b"{}"
    if isinstance(found, str):
        raise InvalidManifestError(found)
    return found


def _require_shallow(members: Mapping[str, Any]) -> None:
    """Whoever shows a config may go through it without a thought about its depth."""
    level: list[Any] = [members]
    for _ in range(_CONFIG_DEPTH):
        containers = [value for value in level if isinstance(value, Mapping | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, Mapping) else each)]
    if level:
        raise InvalidManifestError(f"it is nested more than {_CONFIG_DEPTH} deep")


def _with_config(part: Part, members: Mapping[str, Any], config: ImageConfig) -> Part:
    """Give layers what the config says of them, if it says it of exactly so many."""
    filled = [number for number, layer in enumerate(part.layers) if not layer.is_empty]
    steps = [entry.created_by for entry in config.history if not entry.empty_layer]
    diff_ids = config.raw_diff_ids
    layers = list(part.layers)
    for place, number in enumerate(filled):
        layers[number] = layers[number]._replace(
            created_by=steps[place] if len(steps) == len(filled) else "",
            diff_id=diff_ids[place] if len(diff_ids) == len(filled) else "",
        )
    platform = Platform(config.os, config.architecture, config.variant, config.os_version)
    return replace(
        part,
        platform=part.platform or (platform if config.os or config.architecture else None),
        config_members=members,
        history=config.history,
        layers=tuple(layers),
    )
