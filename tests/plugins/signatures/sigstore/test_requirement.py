"""Reading ``sigstoreSigned`` out of a policy, and what it says about images."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigstore_authorities import EMAIL, HOST, encoded, public_pem
from sigstore_world import IMAGE, NAME, Claim, World, claim_document, payload_of, verdict

from transship.errors import PolicyError
from transship.image.digest import digest_of
from transship.plugin.signature import Signature
from transship_sigstore.mechanism import SigstoreSignatures

KEY = {"keyPath": "key.pub"}
REKOR = {"rekorPublicKeyPath": "rekor.pub"}
FULCIO = {"caPath": "ca.pem", "oidcIssuer": "https://accounts.example.com", "subjectEmail": EMAIL}
PKI = {"caRootsPath": "ca.pem", "subjectEmail": EMAIL}


def parse(members):
    return SigstoreSignatures().parse_requirement("sigstoreSigned", members)


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.mark.parametrize(
    "members",
    [
        KEY,
        {"keyPaths": ["a.pub", "b.pub"]},
        {"keyData": "AAAA"},
        {"keyDatas": ["AAAA", "BBBB"]},
        {**KEY, **REKOR},
        {**KEY, "rekorPublicKeyPaths": ["a.pub"]},
        {**KEY, "rekorPublicKeyData": "AAAA"},
        {**KEY, "rekorPublicKeyDatas": ["AAAA"]},
        {**KEY, "signedIdentity": {"type": "matchRepository"}},
        {"fulcio": FULCIO, **REKOR},
        {"pki": PKI},
        {"pki": {**PKI, "caIntermediatesPath": "i.pem", "subjectHostname": HOST}},
        {"pki": {"caRootsData": "AAAA", "caIntermediatesData": "AAAA", "subjectHostname": HOST}},
    ],
)
def test_requirement_is_read_without_touching_a_file(members):
    assert parse(members).type == "sigstoreSigned"


def _without(members, name):
    return {key: value for key, value in members.items() if key != name}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {**KEY, "keyData": "AAAA"},
        {**KEY, "keyPaths": ["a.pub"]},
        {**KEY, "fulcio": FULCIO, **REKOR},
        {**KEY, "pki": PKI},
        {**KEY, "colour": "red"},
        {"keyPath": ""},
        {"keyPath": 1},
        {"keyPath": None},
        {"keyPath": ["a.pub"]},
        {"keyPaths": []},
        {"keyPaths": [""]},
        {"keyPaths": ["a.pub", 1]},
        {"keyPaths": "a.pub"},
        {"keyData": "*"},
        {"keyData": 1},
        {"keyDatas": []},
        {"keyDatas": ["*"]},
        {**KEY, **REKOR, "rekorPublicKeyData": "AAAA"},
        {**KEY, "rekorPublicKeyPath": ""},
        {**KEY, "rekorPublicKeyPaths": []},
        {**KEY, "rekorPublicKeyDatas": []},
        {**KEY, "rekorPublickeyPath": "a.pub"},
        {**KEY, "signedIdentity": {}},
        {**KEY, "signedIdentity": None},
        {**KEY, "signedIdentity": {"type": "matchEverything"}},
        {**KEY, "signedIdentity": {"type": "matchExact", "more": 1}},
        {"fulcio": FULCIO},
        {"fulcio": {}, **REKOR},
        {"fulcio": None, **REKOR},
        {"fulcio": [], **REKOR},
        *({"fulcio": _without(FULCIO, name), **REKOR} for name in FULCIO),
        *({"fulcio": {**FULCIO, name: ""}, **REKOR} for name in FULCIO),
        {"fulcio": {**FULCIO, "caData": "AAAA"}, **REKOR},
        {"fulcio": {**FULCIO, "more": 1}, **REKOR},
        {"pki": PKI, **REKOR},
        {"pki": _without(PKI, "caRootsPath")},
        {"pki": _without(PKI, "subjectEmail")},
        {"pki": {**PKI, "caRootsData": "AAAA"}},
        {"pki": {**PKI, "caIntermediatesPath": "a.pem", "caIntermediatesData": "AAAA"}},
        {"pki": {**PKI, "subjectEmail": ""}},
        {"pki": {**PKI, "subjectHostname": ""}},
        {"pki": {**PKI, "more": 1}},
    ],
    ids=str,
)
def test_requirement_that_is_not_right_is_refused(members):
    with pytest.raises(PolicyError):
        parse(members)


def test_verdict_says_who_signed_and_as_what(world):
    (by_key,) = verdict(world.key_policy(), world.with_key()).signatures
    assert by_key.identity == NAME
    assert by_key.signer.startswith("key sha256:")
    (certified,) = verdict(world.fulcio_policy(), world.certified()).signatures
    assert certified.signer == EMAIL
    host_only = {"caRootsData": world.pki_policy()["pki"]["caRootsData"], "subjectHostname": HOST}
    (by_host,) = verdict({"pki": host_only}, world.certified(world.pki_leaf())).signatures
    assert by_host.signer == HOST


def test_verdict_on_another_image_still_says_who_signed(world):
    (found,) = verdict(world.key_policy(), world.with_key(payload_of(reference="example.com/other:v1"))).signatures
    assert not found.accepted
    assert found.signer
    assert found.identity == "example.com/other:v1"
    (unverified,) = verdict(world.key_policy(), world.with_key(key=world.other_key)).signatures
    assert (unverified.signer, unverified.identity) == ("", "")


def test_every_reason_is_told(world):
    found = verdict(
        world.key_policy(),
        world.with_key(key=world.other_key),
        world.with_key(payload_of(reference="example.com/other:v1")),
    )
    first, second = (each.reason for each in found.signatures)
    assert first != second
    assert found.reason.endswith(f"{first}; {second}")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_digest_of_any_known_algorithm_counts(world, algorithm):
    digest = digest_of(IMAGE.manifest, algorithm)
    assert verdict(world.key_policy(), world.with_key(payload_of(digest=digest))).accepted


def test_payload_as_cosign_writes_it_is_accepted(world):
    document = {
        "critical": {
            "identity": {"docker-reference": "registry.example.com/team/app"},
            "image": {"docker-manifest-digest": str(IMAGE.digest)},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    policy = world.key_policy(signedIdentity={"type": "matchRepository"})
    assert verdict(policy, world.with_key(payload_of(document))).accepted


def test_keys_and_logs_may_be_several(world, tmp_path):
    (tmp_path / "other.pub").write_bytes(b"# not used any more\n" + public_pem(world.other_key))
    (tmp_path / "key.pub").write_bytes(public_pem(world.key))
    policy = {
        "keyPaths": [str(tmp_path / "other.pub"), str(tmp_path / "key.pub")],
        "rekorPublicKeyDatas": [encoded(public_pem(each)) for each in (world.other_key, world.log.key)],
    }
    assert verdict(policy, world.logged()).accepted
    assert verdict(policy, world.logged(key=world.other_key)).accepted


def test_line_ends_of_keys_do_not_matter(world):
    crlf = public_pem(world.key).replace(b"\n", b"\r\n")
    assert verdict({"keyData": encoded(crlf)}, world.with_key()).accepted


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=10),
    st.just({}),
    st.just([]),
    st.sampled_from([NAME, str(IMAGE.digest), "cosign container image signature"]),
)
PLACES = [
    ("critical",),
    ("critical", "type"),
    ("critical", "image"),
    ("critical", "image", "docker-manifest-digest"),
    ("critical", "identity"),
    ("critical", "identity", "docker-reference"),
    ("critical", "more"),
    ("optional",),
    ("optional", "timestamp"),
    ("optional", "creator"),
    ("more",),
]


@settings(deadline=None)
@given(st.sampled_from(PLACES), VALUES)
def test_only_what_matters_not_may_change_in_a_payload(world, place, value):
    document = claim_document()
    target = document
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    found = verdict(world.key_policy(), world.with_key(payload_of(document)))
    if found.accepted:
        assert document["critical"] == claim_document()["critical"]
        assert set(document) == {"critical", "optional"}
    else:
        assert "\n" not in found.reason


@settings(deadline=None)
@given(st.data())
def test_no_byte_of_a_payload_may_change(world, data):
    claim = world.with_key()
    position = data.draw(st.integers(0, len(claim.payload) - 1))
    changed = claim.payload[:position] + data.draw(st.binary(max_size=2)) + claim.payload[position + 1 :]
    assert verdict(world.key_policy(), Claim(changed, claim.annotations)).accepted == (changed == claim.payload)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_stored_bytes_are_refused_or_do_not_count(world, data):
    assert not verdict(world.key_policy(), Signature("sigstore-json", data)).accepted
