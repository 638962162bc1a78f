"""Sigstore signatures that are attached to an image: an image of their own at a tag made from its digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from transship.errors import InvalidManifestError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.identification import guess_media_type
from transship.image.manifest import OciManifest, oci_manifest, parse_manifest
from transship.image.media_types import OCI_CONFIG, OCI_MANIFEST
from transship.image.quoting import quoted
from transship.image.reference import DockerReference
from transship.image.strict_json import METADATA_LIMIT, dump_json, load_json_object
from transship.plugin.blob import BlobReader, BytesContent, verified
from transship.plugin.signature import Signature
from transship.plugin.sigstore_signature import SigstoreSignature
from transship_docker.client import RegistryClient
from transship_docker.errors import RegistryError, while_doing
from transship_docker.manifest_uploads import ManifestUploader
from transship_docker.manifests import request_manifest
from transship_docker.uploads import Uploader

_COLLECTED = (".sig", ".att")
_COUNT_LIMIT = 1000
_TOTAL_LIMIT = 64 << 20
_NEW_CONFIG: Mapping[str, Any] = {"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}}


def attachment_tag(digest: Digest) -> str:
    """The tag of what is attached to a manifest."""
    return f"{digest.algorithm}-{digest.encoded}.sig"


def read_attachments(client: RegistryClient, image: DockerReference, digest: Digest) -> list[Signature]:
    """All that is attached to a manifest in the repository of ``image``."""
    manifest = _manifest(client, image, digest)
    if manifest is None:
        return []
    layers = [layer.descriptor for layer in manifest.layers]
    if len(layers) > _COUNT_LIMIT or sum(layer.size for layer in layers) > _TOTAL_LIMIT:
        raise InvalidManifestError(f"the signatures at {attachment_tag(digest)} are too many or too big")
    return [
        SigstoreSignature(layer.media_type, _blob(client, layer), layer.annotations or {}).encode() for layer in layers
    ]


def write_attachments(
    uploader: Uploader, manifests: ManifestUploader, digest: Digest, signatures: Sequence[Signature]
) -> None:
    """Attach signatures to a manifest, beside what is attached already; nothing is stored twice."""
    client = manifests.client
    current = _manifest(client, manifests.image, digest)
    layers = [layer.descriptor for layer in current.layers] if current else []
    config = _config(client, current)
    added = _added(layers, signatures)
    if not added:
        return
    for layer, payload in added:
        _upload(uploader, layer, payload)
    data = dump_json(_with_diff_ids(config, [layer.digest for layer, _ in added]))
    config_descriptor = Descriptor(OCI_CONFIG, digest_of(data), len(data))
    _upload(uploader, config_descriptor, data, is_config=True)
    manifest = oci_manifest(
        config_descriptor, [*layers, *(layer for layer, _ in added)], current.members if current else None
    )
    manifests.put(manifest, OCI_MANIFEST, attachment_tag(digest))


def put_attachments(uploader: Uploader, manifests: ManifestUploader, tag: str, data: bytes, media_type: str) -> None:
    """Store at ``tag`` what another repository has there: a manifest whose blobs are in this one already.

    Signatures and attestations that only this repository has stay beside it; anything else is replaced.
    """
    current = _manifest_at(manifests.client, manifests.image, tag) if tag.endswith(_COLLECTED) else None
    if current is None:
        manifests.put(data, media_type, tag)
        return
    layers = [layer.descriptor for layer in current.layers]
    further = [layer.descriptor for layer in parse_manifest(data, media_type).layers if layer.descriptor not in layers]
    if not further:
        return
    if len(layers) + len(further) > _COUNT_LIMIT:
        raise InvalidManifestError(f"more than {_COUNT_LIMIT} layers would be at {tag}")
    merged = dump_json(_with_diff_ids(_config(manifests.client, current), [layer.digest for layer in further]))
    config = Descriptor(OCI_CONFIG, digest_of(merged), len(merged))
    _upload(uploader, config, merged, is_config=True)
    manifests.put(oci_manifest(config, [*layers, *further], current.members), OCI_MANIFEST, tag)


def _manifest(client: RegistryClient, image: DockerReference, digest: Digest) -> OciManifest | None:
    """The image of what is attached, None if there is none."""
    return _manifest_at(client, image, attachment_tag(digest))


def _manifest_at(client: RegistryClient, image: DockerReference, tag: str) -> OciManifest | None:
    with while_doing(f"reading the signatures at {tag}"):
        try:
            raw = request_manifest(client, replace(image, tag=tag, digest=None))
        except RegistryError as error:
            if _is_absent(error):
                return None
            raise
    media_type = raw.media_type or guess_media_type(raw.data)
    if media_type != OCI_MANIFEST:
        raise InvalidManifestError(f"unexpected MIME type for sigstore attachment manifest {tag}: {quoted(media_type)}")
    manifest = parse_manifest(raw.data, media_type)
    return manifest if isinstance(manifest, OciManifest) else None


def _is_absent(error: RegistryError) -> bool:
    return error.status == 404 or (error.code == "UNKNOWN" and "not found" in error.detail.lower())


def _blob(client: RegistryClient, descriptor: Descriptor) -> bytes:
    if descriptor.size > METADATA_LIMIT:
        raise InvalidManifestError(f"blob {descriptor} exceeds the maximum allowed size of {METADATA_LIMIT} bytes")
    with while_doing(f"fetching blob {descriptor}"):
        response = client.request("GET", f"/v2/{client.repository}/blobs/{descriptor.digest}", limit=METADATA_LIMIT)
    for _ in verified([response.content], descriptor):
        pass
    return response.content


def _config(client: RegistryClient, manifest: OciManifest | None) -> Mapping[str, Any]:
    if manifest is None:
        return _NEW_CONFIG
    return load_json_object(_blob(client, manifest.config), "config of signatures")


def _with_diff_ids(config: Mapping[str, Any], further: Sequence[Digest]) -> dict[str, Any]:
    rootfs = config.get("rootfs") or {}
    known = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else None
    if not isinstance(rootfs, dict) or not isinstance(known, list):
        raise InvalidManifestError("config of signatures: unexpected rootfs")
    return {**config, "rootfs": {"type": "layers", **rootfs, "diff_ids": [*known, *map(str, further)]}}


def _added(layers: Sequence[Descriptor], signatures: Sequence[Signature]) -> list[tuple[Descriptor, bytes]]:
    """What of ``signatures`` is not among ``layers`` yet."""
    known, added = list(layers), []
    for signature in signatures:
        media_type, payload, annotations = SigstoreSignature.decode(signature)
        layer = Descriptor(media_type, digest_of(payload), len(payload), annotations=annotations)
        if not any(_is_same(layer, other, payload) for other in known):
            known.append(layer)
            added.append((layer, payload))
    return added


def _is_same(layer: Descriptor, other: Descriptor, payload: bytes) -> bool:
    return (
        other.media_type == layer.media_type
        and other.size == layer.size
        and (other.annotations or {}) == layer.annotations
        and other.digest == digest_of(payload, other.digest.algorithm)
    )


def _upload(uploader: Uploader, descriptor: Descriptor, data: bytes, *, is_config: bool = False) -> None:
    if not uploader.exists(descriptor.digest):
        uploader.upload_blob(BlobReader(BytesContent(data), descriptor, is_config=is_config))
