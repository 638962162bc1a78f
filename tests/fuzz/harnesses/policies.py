"""The trust policy: whatever it says, an image without signatures gets in only where the text plainly says so."""

from __future__ import annotations

import json

from harnesses.json_texts import WORDS as JSON_WORDS
from harnesses.target import Target, refusing
from transship.discovery import PluginManager
from transship.errors import PolicyError
from transship.image.media_types import OCI_MANIFEST
from transship.image.reference import DockerReference
from transship.plugin.mechanism import UntrustedImage
from transship.plugin.transport import Reference
from transship.policy.document import parse_policy
from transship.policy.evaluation import judge
from transship_openpgp import requirement as _openpgp  # noqa: F401 - imported late by what is fuzzed
from transship_sigstore import requirement as _sigstore  # noqa: F401 - the same

_MANAGER = PluginManager()
_NAMED = DockerReference.parse("registry.example.com/team/app:v1")
_REFERENCES = (
    Reference(
        transport="docker",
        text="//registry.example.com/team/app:v1",
        named=_NAMED,
        policy_identity=_NAMED.policy_identity,
        policy_namespaces=_NAMED.policy_namespaces,
    ),
    Reference(transport="oci", text="a", policy_identity="/a", policy_namespaces=("/a",)),
    Reference(transport="docker-archive", text="a"),
)
_ACCEPT = {"type": "insecureAcceptAnything"}


def _check(data: bytes) -> None:
    with refusing(PolicyError):
        policy = parse_policy(data, "policy.json", _MANAGER)
        document = json.loads(data)
        for reference in _REFERENCES:
            image = UntrustedImage(reference, b"{}", OCI_MANIFEST)
            required = _required(document, reference)
            assert judge(policy, image).accepted == all(each == _ACCEPT for each in required)
            assert not judge(policy, image, require_signed=True).accepted


def _required(document: dict, reference: Reference) -> list[dict]:
    """What the text asks for, found in the simplest way there is."""
    scopes = document.get("transports", {}).get(reference.transport, {})
    for scope in (reference.policy_identity, *reference.policy_namespaces, ""):
        if scope in scopes:
            return scopes[scope]
    return document["default"]


def _policy(*requirements: object, **scopes: object) -> bytes:
    return json.dumps(
        {"default": [{"type": "reject"}], "transports": {"docker": {"registry.example.com": requirements, **scopes}}}
    ).encode()


_IDENTITIES = (
    {"type": "matchExact"},
    {"type": "matchRepository"},
    {"type": "matchRepoDigestOrExact"},
    {"type": "exactReference", "dockerReference": "a.example/b:c"},
    {"type": "exactRepository", "dockerRepository": "a.example/b"},
    {"type": "remapIdentity", "prefix": "a.example/b", "signedPrefix": "c.example"},
)
_KEYS = {"keyType": "GPGKeys", "keyData": "YQ=="}
_FULCIO = {"caData": "YQ==", "oidcIssuer": "https://a.example", "subjectEmail": "a@a.example"}
_PKI = {"caRootsPath": "/none", "caIntermediatesData": "YQ==", "subjectHostname": "a.example"}
_SEEDS = (
    b'{"default":[{"type":"insecureAcceptAnything"}],"transports":{"oci":{"/a":[{"type":"reject"}],"":[{"type":'
    b'"insecureAcceptAnything"},{"type":"insecureAcceptAnything"}]},"docker-archive":{"":[{"type":"reject"}]}}}',
    _policy(_ACCEPT),
    *(_policy({"type": "signedBy", **_KEYS, "signedIdentity": identity}) for identity in _IDENTITIES),
    _policy({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/none"]}, _ACCEPT),
    _policy({"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}),
    _policy({"type": "sigstoreSigned", "keyDatas": ["YQ=="], "rekorPublicKeyPath": "/none"}),
    _policy({"type": "sigstoreSigned", "fulcio": _FULCIO, "rekorPublicKeyData": "YQ=="}),
    _policy({"type": "sigstoreSigned", "pki": _PKI}),
)
_NAMES = sorted({word for seed in _SEEDS for word in seed.decode().split('"')[1::2]} | {"keyPath", "keyDatas"})

TARGETS = (Target("policy", _check, _SEEDS, (*JSON_WORDS, *(f'"{name}"'.encode() for name in _NAMES))),)
