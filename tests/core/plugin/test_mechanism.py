"""What mechanisms get for free."""

from __future__ import annotations

import pytest

from transship.errors import SignatureError, UnsupportedError
from transship.image.digest import digest_of
from transship.plugin.context import Context
from transship.plugin.mechanism import (
    Requirement,
    SignatureMechanism,
    SignatureRequirement,
    SignatureStore,
    SignatureVerdict,
    Signer,
    SigningRequest,
    UntrustedImage,
    tell_nobody,
)
from transship.plugin.signature import Signature
from transship.plugin.transport import Reference
from transship.testing.images import oci_image

REFERENCE = Reference(transport="memory", text="")


class Wanted(SignatureRequirement):
    """Judges a signature by its payload."""

    type = "wanted"

    def __init__(self) -> None:
        self.seen = []

    def verify(self, signature, image):
        self.seen.append(signature.payload)
        if signature.format != "ours":
            return None
        if signature.payload == b"bug":
            raise ZeroDivisionError
        if signature.payload != b"good":
            raise SignatureError(f"bad {signature.payload.decode()}")
        return SignatureVerdict("ours", accepted=True, signer="me")


def _evaluated(*payloads, kind="ours"):
    requirement = Wanted()
    signatures = [Signature(kind, payload) for payload in payloads]
    return requirement, requirement.evaluate(UntrustedImage(REFERENCE, b"", "", lambda: signatures))


def test_first_good_signature_ends_the_search():
    requirement, verdict = _evaluated(b"a", b"good", b"b")
    assert verdict.accepted
    assert requirement.seen == [b"a", b"good"]
    assert [each.accepted for each in verdict.signatures] == [False, True]


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [
        ([], "A signature was required, but no signature exists"),
        ([b"a"], "bad a"),
        ([b"a", b"b"], "None of the signatures were accepted, reasons: bad a; bad b"),
    ],
)
def test_refusal_is_told_in_skopeos_words(payloads, reason):
    _, verdict = _evaluated(*payloads)
    assert (verdict.accepted, verdict.reason) == (False, reason)


def test_signatures_of_other_kinds_do_not_count():
    _, verdict = _evaluated(b"good", b"good", kind="theirs")
    assert (verdict.accepted, verdict.signatures) == (False, ())


def test_error_that_is_no_refusal_is_let_through():
    with pytest.raises(ZeroDivisionError):
        _evaluated(b"bug", b"good")


def test_signatures_are_read_when_asked_for_and_once():
    reads = []

    def read():
        reads.append(1)
        return [Signature("ours", b"a")]

    image = UntrustedImage(REFERENCE, b"", "", read)
    assert reads == []
    assert image.signatures == image.signatures == (Signature("ours", b"a"),)
    assert reads == [1]


def test_digest_is_that_of_the_very_bytes():
    image = oci_image()
    untrusted = UntrustedImage(REFERENCE, image.manifest, image.media_type)
    assert untrusted.has_digest(image.digest)
    assert not untrusted.has_digest(digest_of(image.manifest + b" "))


def test_passphrase_is_not_in_the_representation():
    request = SigningRequest("gpg", "me", b"open sesame", lambda text: b"open sesame")
    assert "sesame" not in repr(request)


def test_mechanism_offers_nothing_until_it_says_so():
    mechanism = SignatureMechanism()
    mechanism.name = "mute"
    request = SigningRequest("", "", None, lambda text: b"")
    for ask in (
        lambda: mechanism.parse_requirement("x", {}),
        lambda: mechanism.open_signer(request),
        lambda: mechanism.open_store("x", Context()),
    ):
        with pytest.raises(UnsupportedError, match="mute"):
            ask()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Requirement().evaluate(UntrustedImage(REFERENCE, b"", "")),
        lambda: Signer().sign(b"", digest_of(b""), None),
        lambda: SignatureStore().read(REFERENCE, digest_of(b"")),
        lambda: SignatureStore().write(REFERENCE, digest_of(b""), []),
    ],
)
def test_what_must_be_written_does_nothing_by_itself(ask):
    with pytest.raises(NotImplementedError):
        ask()


def test_signer_with_nothing_to_forget_can_be_closed():
    Signer().close()


def test_only_what_says_so_verifies_signatures():
    assert SignatureRequirement.verifies_signatures
    assert not Requirement.verifies_signatures


def test_where_nobody_sits_nothing_is_told():
    with pytest.raises(SignatureError):
        tell_nobody("log in at …")
