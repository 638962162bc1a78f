"""The policy requirement ``sigstoreSigned``: how it is read, and its verdict on one signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transship.errors import InvalidManifestError, PolicyError, SignatureError
from transship.plugin.mechanism import SignatureRequirement, SignatureVerdict, UntrustedImage
from transship.plugin.members import Members
from transship.plugin.signature import SIGSTORE_JSON, Signature
from transship.plugin.signed_identity import SignedIdentity, parse_signed_identity
from transship.plugin.sigstore_signature import SigstoreSignature
from transship_sigstore.annotations import PAYLOAD_TYPE
from transship_sigstore.trust import SIGSTORE_SIGNED, FulcioTrust, KeyTrust, PkiTrust, Source, Sources, Trust

_KEYS = ("keyPath", "keyPaths", "keyData", "keyDatas")
_REKOR = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
_FULCIO = "fulcio"
_PKI = "pki"


class SigstoreSigned(SignatureRequirement):
    """At least one sigstore signature by somebody whom ``trust`` names, for a reference that ``identity`` accepts."""

    type = SIGSTORE_SIGNED

    def __init__(self, trust: Trust, identity: SignedIdentity) -> None:
        self.trust = trust
        self.identity = identity

    def verify(self, signature: Signature, image: UntrustedImage) -> SignatureVerdict | None:
        if signature.format != SIGSTORE_JSON:
            return None
        try:
            attached = SigstoreSignature.decode(signature)
        except InvalidManifestError as error:
            raise SignatureError(str(error)) from None
        if attached.media_type != PAYLOAD_TYPE:
            return None
        from transship_sigstore.verification import verify_signature

        signer, payload = verify_signature(self.trust, attached.payload, attached.annotations)
        reason = ""
        try:
            payload.check(image, self.identity)
        except SignatureError as error:
            reason = str(error)
        return SignatureVerdict(SIGSTORE_JSON, not reason, reason, signer, payload.reference)

    def missing(self, others: Sequence[Signature]) -> str:
        if not others:
            return super().missing(others)
        attachments = sum(other.format == SIGSTORE_JSON for other in others)
        return (
            f"A signature was required, but no signature exists ({len(others) - attachments} non-sigstore signatures, "
            f"{attachments} sigstore non-signature attachments)"
        )


def parse_sigstore_signed(members: Mapping[str, Any]) -> SigstoreSigned:
    """Read the requirement's members but its type; raise ``PolicyError``."""
    rest = Members(members)
    trust = _trust(rest)
    requirement = SigstoreSigned(trust, parse_signed_identity(rest))
    rest.finish()
    return requirement


def _trust(members: Members) -> Trust:
    if sum(name in members for name in (*_KEYS, _FULCIO, _PKI)) != 1:
        raise PolicyError("exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio, and pki must be specified")
    rekor = _sources(members, _REKOR)
    if (fulcio := members.object(_FULCIO)) is not None:
        return _fulcio(fulcio, rekor)
    if (pki := members.object(_PKI)) is not None:
        if rekor:
            raise PolicyError("rekorPublicKey* cannot be used with pki")
        return _pki(pki)
    return KeyTrust(_sources(members, _KEYS), rekor)


def _fulcio(members: Members, rekor: Sources) -> FulcioTrust:
    if not rekor:
        raise PolicyError(
            f"At least one of {', '.join(_REKOR[:-1])} and {_REKOR[-1]} must be specified if fulcio is used"
        )
    ca = _source(members, "caPath", "caData")
    if ca is None:
        raise PolicyError("At least one of caPath and caData must be specified")
    for name in ("oidcIssuer", "subjectEmail"):
        if name not in members:
            raise PolicyError(f"{name} not specified")
    trust = FulcioTrust(ca, members.required_text("oidcIssuer"), members.required_text("subjectEmail"), rekor)
    members.finish()
    return trust


def _pki(members: Members) -> PkiTrust:
    roots = _source(members, "caRootsPath", "caRootsData")
    if roots is None:
        raise PolicyError("At least one of caRootsPath and caRootsData must be specified")
    intermediates = _source(members, "caIntermediatesPath", "caIntermediatesData")
    email, hostname = (
        members.required_text(name) if name in members else "" for name in ("subjectEmail", "subjectHostname")
    )
    if not email and not hostname:
        raise PolicyError("At least one of subjectEmail, subjectHostname must be specified")
    members.finish()
    return PkiTrust(roots, intermediates, email, hostname)


def _sources(members: Members, names: tuple[str, str, str, str]) -> Sources:
    """What is named by at most one of: a path, paths, data, datas."""
    if sum(name in members for name in names) > 1:
        raise PolicyError(f"at most one of {', '.join(names[:-1])} and {names[-1]} can be used simultaneously")
    path, paths, data, datas = names
    if path in members:
        return (Source(members.required_text(path)),)
    if data in members:
        return (Source(data=members.data(data) or b""),)
    return (
        *(Source(each) for each in members.texts(paths) or ()),
        *(Source(data=each) for each in members.datas(datas) or ()),
    )


def _source(members: Members, path: str, data: str) -> Source | None:
    if path in members and data in members:
        raise PolicyError(f"{path} and {data} cannot be used simultaneously")
    if path in members:
        return Source(members.required_text(path))
    content = members.data(data)
    return None if content is None else Source(data=content)
