"""Ways to get round a policy, and none of them works: each changes one thing about a signature that is good."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID
from sigstore_authorities import (
    CODE_SIGNING,
    EMAIL,
    HOST,
    ISSUER,
    NOW,
    OID_ISSUER,
    OID_ISSUER_DER,
    Authority,
    Log,
    encoded,
    hashed_record,
    key_usage,
    new_key,
    pem,
    public_pem,
    sign,
    subject_names,
    utf8_string,
)
from sigstore_world import (
    BUNDLE,
    CERTIFICATE,
    CHAIN,
    IMAGE,
    SIGNATURE,
    Claim,
    World,
    claim_document,
    payload_of,
    verdict,
)

from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.testing.images import schema2_image

OTHER_DIGEST = schema2_image().digest


@pytest.fixture(scope="module")
def world():
    return World()


def test_what_is_changed_here_is_accepted_unchanged(world):
    for policy, claim in (
        (world.key_policy(), world.with_key()),
        (world.key_policy(), world.logged()),
        (world.rekor_policy(), world.logged()),
        (world.fulcio_policy(), world.certified()),
        (world.pki_policy(subjectHostname=HOST), world.certified(world.pki_leaf())),
    ):
        found = verdict(policy, claim)
        assert found.accepted, found.reason


# What was signed, and with which key.


def _payload(text):
    """A text that the trusted key really signed."""
    return lambda world: world.with_key(text.encode() if isinstance(text, str) else text)


def _document(change):
    def make(world):
        document = claim_document()
        change(document)
        return world.with_key(payload_of(document))

    return make


def _changed_payload(world):
    claim = world.with_key(payload_of(digest=OTHER_DIGEST))
    return Claim(payload_of(), claim.annotations)


def _swapped_annotations(world):
    return Claim(payload_of(), world.with_key(payload_of(reference="registry.example.com/team/app:v2")).annotations)


TEXT = payload_of().decode()
DIGEST = '"docker-manifest-digest"'

CLAIMS = {
    "payload changed after signing": _changed_payload,
    "annotation of another signature": _swapped_annotations,
    "one space more in the payload": lambda world: Claim(payload_of() + b" ", world.with_key().annotations),
    "digest of another image": lambda world: world.with_key(payload_of(digest=OTHER_DIGEST)),
    "digest of an unknown algorithm": lambda world: world.with_key(payload_of(digest="md5:" + "0" * 32)),
    "digest in capitals": lambda world: world.with_key(payload_of(digest=str(IMAGE.digest).upper())),
    "digest cut short": lambda world: world.with_key(payload_of(digest=str(IMAGE.digest)[:-2])),
    "no digest": lambda world: world.with_key(payload_of(digest="sha256:")),
    "another tag": lambda world: world.with_key(payload_of(reference="registry.example.com/team/app:v2")),
    "no tag": lambda world: world.with_key(payload_of(reference="registry.example.com/team/app")),
    "another repository": lambda world: world.with_key(payload_of(reference="registry.example.com/team/other:v1")),
    "another registry": lambda world: world.with_key(payload_of(reference="evil.example.com/team/app:v1")),
    "a reference that is none": lambda world: world.with_key(payload_of(reference="registry.example.com/team/app:v1 ")),
    "an empty reference": lambda world: world.with_key(payload_of(reference="")),
    "another key": lambda world: world.with_key(key=world.other_key),
    "the type of simple signing": lambda world: world.with_key(payload_of(kind="atomic container signature")),
    "a type in other letters": lambda world: world.with_key(payload_of(kind="Cosign container image signature")),
    "duplicate critical": _payload(TEXT[:-1] + ', "critical": ' + json.dumps(claim_document()["critical"]) + "}"),
    "duplicate digest": _payload(TEXT.replace(DIGEST, f'{DIGEST}: "{OTHER_DIGEST}", {DIGEST}')),
    "unknown key": _document(lambda document: document.update(extra=1)),
    "unknown key in critical": _document(lambda document: document["critical"].update(extra=1)),
    "unknown key in image": _document(lambda document: document["critical"]["image"].update(extra=1)),
    "unknown key in identity": _document(lambda document: document["critical"]["identity"].update(extra=1)),
    "no optional": _document(lambda document: document.pop("optional")),
    "no critical": _document(lambda document: document.pop("critical")),
    "no type": _document(lambda document: document["critical"].pop("type")),
    "optional a text": _document(lambda document: document.update(optional="none")),
    "timestamp a text": _document(lambda document: document["optional"].update(timestamp="now")),
    "timestamp a fraction": _document(lambda document: document["optional"].update(timestamp=1.5)),
    "reference a list": _document(lambda document: document["critical"]["identity"].update({"docker-reference": []})),
    "truncated": _payload(TEXT[:-1]),
    "two documents": _payload(TEXT + TEXT),
    "a list": _payload(f"[{TEXT}]"),
    "null": _payload("null"),
    "empty": _payload(""),
    "UTF-16": _payload(TEXT.encode("utf-16")),
    "nested too deeply": _payload("[" * 100_000),
}


@pytest.mark.parametrize("change", CLAIMS)
def test_other_claim_is_refused(world, change):
    found = verdict(world.key_policy(), CLAIMS[change](world))
    assert not found.accepted
    assert found.reason


# How the signature is written.


def _written(change):
    def make(world):
        claim = world.with_key()
        claim.annotations[SIGNATURE] = change(claim.annotations[SIGNATURE])
        return claim

    return make


def _made(change):
    def make(world):
        return Claim(payload_of(), {SIGNATURE: encoded(change(world, payload_of()))})

    return make


def _plain_pair(world, payload):
    r, s = decode_dss_signature(sign(world.key, payload))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _url_safe(text):
    while True:  # until the two alphabets differ
        signature = encoded(sign(World().key, payload_of()))
        if set(signature) & set("+/"):
            return signature.translate(str.maketrans("+/", "-_"))


def _not_canonical(text):
    """The same bytes with other unused bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    data = base64.b64decode(text)
    padded = encoded(data + b"\0" * (1 - len(data) % 3 if len(data) % 3 == 0 else 0))
    position = len(padded.rstrip("=")) - 1
    return padded[:position] + alphabet[alphabet.index(padded[position]) ^ 1] + padded[position + 1 :]


SIGNATURES = {
    "missing": lambda world: Claim(payload_of()),
    "under another name": lambda world: Claim(payload_of(), {"signature": world.with_key().annotations[SIGNATURE]}),
    "empty": _written(lambda text: ""),
    "junk": _written(lambda text: "no base64!"),
    "URL-safe base64": _written(_url_safe),
    "base64 with a newline": _written(lambda text: text + "\n"),
    "base64 with a space": _written(lambda text: text[:8] + " " + text[8:]),
    "base64 without padding": _written(lambda text: (text + "=").rstrip("=")[:-1]),
    "base64 with other unused bits": _written(_not_canonical),
    "base64 with something behind": _written(lambda text: text.rstrip("=") + "==AAAA"),
    "cut": _written(lambda text: text[:20]),
    "twice": _written(lambda text: encoded(base64.b64decode(text) * 2)),
    "one byte more": _written(lambda text: encoded(base64.b64decode(text) + b"\0")),
    "ECDSA as two plain numbers": _made(_plain_pair),
    "ECDSA with zeros": _made(lambda world, payload: bytes.fromhex("3006020100020100")),
    "ECDSA with another hash": _made(lambda world, payload: sign(world.key, payload, hashes.SHA384())),
    "over the hash": _made(lambda world, payload: sign(world.key, base64.b16encode(payload))),
    "over the base64": _made(lambda world, payload: sign(world.key, base64.b64encode(payload))),
}


@pytest.mark.parametrize("change", SIGNATURES)
def test_other_signature_is_refused(world, change):
    found = verdict(world.key_policy(), SIGNATURES[change](world))
    assert not found.accepted
    assert found.reason


RSA_KEY = rsa.generate_private_key(65537, 2048)
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)

KEYS = {
    "RSA-PSS": (RSA_KEY, lambda payload: RSA_KEY.sign(payload, PSS, hashes.SHA256())),
    "RSA with another hash": (RSA_KEY, lambda payload: RSA_KEY.sign(payload, padding.PKCS1v15(), hashes.SHA512())),
    "RSA without a hash": (RSA_KEY, lambda payload: b"\0" * 256),
    "Ed25519 over the hash": (ED25519_KEY, lambda payload: ED25519_KEY.sign(base64.b16encode(payload))),
    "Ed25519 cut": (ED25519_KEY, lambda payload: ED25519_KEY.sign(payload)[:-1]),
    "Ed25519 for RSA": (RSA_KEY, ED25519_KEY.sign),
    "RSA for Ed25519": (ED25519_KEY, lambda payload: RSA_KEY.sign(payload, padding.PKCS1v15(), hashes.SHA256())),
    "ECDSA for Ed25519": (ED25519_KEY, lambda payload: sign(new_key(), payload)),
}


@pytest.mark.parametrize("case", KEYS)
def test_signature_of_another_algorithm_is_refused(case):
    key, make = KEYS[case]
    claim = Claim(payload_of(), {SIGNATURE: encoded(make(payload_of()))})
    assert not verdict({"keyData": encoded(public_pem(key))}, claim).accepted


def test_other_kinds_of_signatures_do_not_count(world):
    good = world.with_key()
    others = [
        Claim(good.payload, good.annotations, "application/octet-stream"),
        Claim(good.payload, good.annotations, "application/vnd.dev.cosign.simplesigning.v1+json; charset=utf-8"),
        Signature("sigstore-bundle", good.stored().payload),
        Signature(SIMPLE_SIGNING, b"\x90" + good.stored().payload),
    ]
    found = verdict(world.key_policy(), *others)
    assert not found.accepted
    assert "2 non-sigstore signatures, 2 sigstore non-signature attachments" in found.reason


def test_broken_storage_form_is_refused(world):
    for text in (b"", b"{}", b"[]", b'{"mimeType":1,"payload":"","annotations":{}}', b'{"payload":"*"}', b"\xff"):
        assert not verdict(world.key_policy(), Signature("sigstore-json", text)).accepted


def test_changed_manifest_is_refused(world):
    assert not verdict(world.key_policy(), world.with_key(), manifest=IMAGE.manifest + b"\n").accepted


def test_name_of_another_image_is_refused(world):
    assert not verdict(world.key_policy(), world.with_key(), name="registry.example.com/team/app:v2").accepted


# Which keys a policy names, and whether they can be read.


def _small_rsa(world):
    return public_pem(rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is refused


BAD_KEYS = {
    "two keys in one": lambda world: public_pem(world.other_key) + public_pem(world.key),
    "a key cut short": lambda world: public_pem(world.key)[:-30],
    "a key of unknown form": lambda world: public_pem(world.key).replace(b"PUBLIC KEY", b"SECRET KEY"),
    "a private key": lambda world: world.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ),
    "a certificate": lambda world: pem(world.leaf),
    "DER": lambda world: base64.b64decode(b"".join(public_pem(world.key).splitlines()[1:-1])),
    "nothing": lambda world: b"",
    "junk": lambda world: b"junk",
    "an RSA key of 1024 bits": _small_rsa,
    "a curve that nobody uses": lambda world: public_pem(ec.generate_private_key(ec.SECP256K1())),
    "no key inside": lambda world: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_bad_key_accepts_nothing(world, case):
    data = BAD_KEYS[case](world)
    beside_a_good_one = {"keyDatas": [encoded(public_pem(world.key)), encoded(data or b"\n")]}
    assert not verdict(beside_a_good_one, world.with_key()).accepted
    assert not verdict({"keyData": encoded(data)}, world.with_key()).accepted


def _pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        _pipe,
        lambda path: path.symlink_to(path),
        lambda path: path.write_bytes(b"\n" * (2 << 20)),
    ],
    ids=["missing", "a folder", "a pipe", "a loop", "too long"],
)
def test_unreadable_key_accepts_nothing(world, tmp_path, make):
    make(tmp_path / "key.pub")
    good = encoded(public_pem(world.key))
    for policy in (
        {"keyPath": str(tmp_path / "key.pub")},
        {"keyPaths": [str(tmp_path / "key.pub")]},
        {"keyData": good, "rekorPublicKeyPath": str(tmp_path / "key.pub")},
    ):
        found = verdict(policy, world.logged())
        assert not found.accepted
        assert "key.pub" in found.reason


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b"], ids=["NUL", "half a pair"])
def test_name_that_no_file_can_have_accepts_nothing(world, path):
    assert verdict({"keyPath": path}, world.with_key()).reason
    assert not verdict({"keyPath": path}, world.with_key()).accepted


# What the log promised.


def _entry(change):
    """A promise that the log really made, about an entry that was changed before."""

    def make(world):
        claim = world.with_key()
        signature = base64.b64decode(claim.annotations[SIGNATURE])
        record = hashed_record(claim.payload, signature, public_pem(world.key))
        change(world, record)
        world.log_claim(claim, b"", record=record)
        return claim

    return make


def _spec(*path, value):
    def change(world, record):
        target = record["spec"]
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value(world) if callable(value) else value

    return _entry(change)


def _bundle(change):
    """A promise that was changed after it was made."""

    def make(world):
        claim = world.logged()
        document = json.loads(claim.annotations[BUNDLE])
        answer = change(world, document)
        claim.annotations[BUNDLE] = answer if isinstance(answer, str) else json.dumps(document)
        return claim

    return make


def _promised(**members):
    """A promise about an entry with other members."""

    def make(world):
        claim = world.logged()
        entry = json.loads(claim.annotations[BUNDLE])["Payload"]
        entry = {name: value for name, value in {**entry, **members}.items() if value is not None}
        claim.annotations[BUNDLE] = json.dumps(
            {"SignedEntryTimestamp": encoded(world.log.promise(entry)), "Payload": entry}
        )
        return claim

    return make


def _without_bundle(world):
    claim = world.logged()
    del claim.annotations[BUNDLE]
    return claim


def _bundle_of_another(world):
    claim, other = world.logged(), world.logged(payload_of(digest=OTHER_DIGEST))
    claim.annotations[BUNDLE] = other.annotations[BUNDLE]
    return claim


def _bundle_of_same_payload(world):
    claim, other = world.logged(), world.logged(key=world.other_key)
    claim.annotations[BUNDLE] = other.annotations[BUNDLE]
    return claim


def _other_log(world):
    claim = world.with_key()
    log, world.log = world.log, Log()
    world.log_claim(claim, public_pem(world.key))
    world.log = log
    return claim


def _set_body(world, document):
    record = json.loads(base64.b64decode(document["Payload"]["body"]))
    record["spec"]["data"]["hash"]["value"] = "0" * 64
    document["Payload"]["body"] = encoded(json.dumps(record).encode())


BUNDLES = {
    "missing": _without_bundle,
    "of another entry": _bundle_of_another,
    "of another key": _bundle_of_same_payload,
    "of another log": _other_log,
    "empty": _bundle(lambda world, document: ""),
    "no JSON": _bundle(lambda world, document: "{"),
    "a list": _bundle(lambda world, document: json.dumps([document])),
    "something behind": _bundle(lambda world, document: json.dumps(document) + "{}"),
    "an extra member": _bundle(lambda world, document: document.update(extra=1)),
    "an extra member in the payload": _bundle(lambda world, document: document["Payload"].update(extra=1)),
    "no promise": _bundle(lambda world, document: json.dumps({"Payload": document["Payload"]})),
    "no payload": _bundle(lambda world, document: json.dumps({**document, "Payload": None})),
    "an empty promise": _bundle(lambda world, document: document.update(SignedEntryTimestamp="")),
    "another body": _bundle(_set_body),
    "another time": _bundle(lambda world, document: document["Payload"].update(integratedTime=NOW + 1)),
    "another index": _bundle(lambda world, document: document["Payload"].update(logIndex=8)),
    "another log's name": _bundle(lambda world, document: document["Payload"].update(logID="00")),
    "duplicate time": _bundle(
        lambda world, document: json.dumps(document).replace('"logIndex"', '"integratedTime": 1, "logIndex"')
    ),
    "duplicate payload": _bundle(
        lambda world, document: json.dumps(document)[:-1] + f', "Payload": {json.dumps(document["Payload"])}}}'
    ),
    "a time in words": _promised(integratedTime="now"),
    "a time with a fraction": _promised(integratedTime=NOW + 0.5),
    "a time that is true": _promised(integratedTime=True),
    "a time before all times": _promised(integratedTime=-1),
    "no time": _promised(integratedTime=None),
    "no index": _promised(logIndex=None),
    "an extra member, promised": _promised(extra=1),
    "no body": _promised(body=None),
    "a body that is no base64": _promised(body="*"),
    "a body that is no JSON": _promised(body=encoded(b"{")),
    "another kind": _entry(lambda world, record: record.update(kind="rekord")),
    "another version": _entry(lambda world, record: record.update(apiVersion="0.0.2")),
    "an extra member in the entry": _entry(lambda world, record: record.update(extra=1)),
    "no spec": _entry(lambda world, record: record.pop("spec")),
    "another hash": _spec("data", "hash", "value", value="0" * 64),
    "another algorithm": _spec("data", "hash", "algorithm", value="sha512"),
    "another signature": _spec("signature", "content", value=lambda world: encoded(sign(world.key, b"something else"))),
    "the key of another": _spec(
        "signature", "publicKey", "content", value=lambda world: encoded(public_pem(world.other_key))
    ),
    "a key and another": _spec(
        "signature",
        "publicKey",
        "content",
        value=lambda world: encoded(public_pem(world.key) + public_pem(world.other_key)),
    ),
    "a key with something behind": _spec(
        "signature", "publicKey", "content", value=lambda world: encoded(public_pem(world.key) + b"trailing")
    ),
    "no key": _spec("signature", "publicKey", "content", value=""),
}


@pytest.mark.parametrize("change", BUNDLES)
def test_other_promise_of_the_log_is_refused(world, change):
    found = verdict(world.rekor_policy(), BUNDLES[change](world))
    assert not found.accepted
    assert found.reason


@pytest.mark.parametrize("make", [lambda: RSA_KEY, lambda: ED25519_KEY, new_key], ids=["RSA", "Ed25519", "another"])
def test_other_key_of_the_log_is_refused(world, make):
    policy = world.key_policy(rekorPublicKeyDatas=[encoded(public_pem(make()))])
    assert not verdict(policy, world.logged()).accepted


def test_log_with_a_key_of_another_kind_is_no_log(monkeypatch):
    """Even if what it promises is signed well."""
    world = World()
    world.log.key = ED25519_KEY
    monkeypatch.setattr(world.log, "promise", lambda entry: ED25519_KEY.sign(_canonical(entry)))
    found = verdict(world.rekor_policy(), world.logged())
    assert not found.accepted
    assert "ECDSA" in found.reason


def _canonical(entry) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


def test_any_of_several_keys_may_have_signed(world):
    keys = [encoded(public_pem(key)) for key in (new_key(), world.key, world.other_key)]
    for key in (world.key, world.other_key):
        for more in ({}, {"rekorPublicKeyData": encoded(public_pem(world.log.key))}):
            found = verdict({"keyDatas": keys, **more}, world.logged(key=key))
            assert found.accepted, found.reason
    assert not verdict({"keyDatas": keys}, world.with_key(key=new_key())).accepted


@pytest.mark.parametrize(
    ("more", "owner"),
    [({}, EMAIL), ({"subjectHostname": HOST}, EMAIL), ({"subjectEmail": None, "subjectHostname": HOST}, HOST)],
)
def test_owner_of_a_certificate_is_told_and_its_ca_may_have_comments(world, more, owner):
    members = {**world.pki_policy()["pki"], **more}
    commented = b"# the root\n" + pem(world.root.certificate) + b"# no more\n"
    members["caRootsData"] = encoded(commented)
    policy = {"pki": {name: value for name, value in members.items() if value is not None}}
    found = verdict(policy, world.certified(world.pki_leaf()))
    assert found.accepted, found.reason
    assert found.signatures[0].signer == owner


# For whom a certificate was made, and by whom.

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
MALLORY = Authority.root()  # of the same name as the one that is trusted
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"x")


def _leaf(**changes):
    return lambda world: world.certified(world.intermediate.leaf(world.leaf_key, **changes))


def _below(**changes):
    """A good leaf below an intermediate that is not."""

    def make(world):
        middle = world.root.subordinate(**changes)
        return world.certified(middle.leaf(world.leaf_key), chain=(middle.certificate, world.root.certificate))

    return make


def _issuers(*extensions):
    return _leaf(
        drop=("issuer", "issuer_der"),
        **{f"extra{number}": (x509.UnrecognizedExtension(*each), False) for number, each in enumerate(extensions)},
    )


def _self_signed(world):
    key = new_key()
    leaf = Authority(MALLORY.certificate, key).leaf(key, title="root")
    return world.certified(leaf, key, chain=(leaf, leaf))


def _by_mallory(world):
    return world.certified(MALLORY.leaf(world.leaf_key), chain=(MALLORY.certificate, MALLORY.certificate))


def _by_leaf(world):
    """A leaf plays the authority."""
    key = new_key()
    middle = world.intermediate.leaf(key, title="leaf")
    leaf = Authority(middle, key).leaf(world.leaf_key)
    return world.certified(leaf, chain=(middle, world.intermediate.certificate, world.root.certificate))


def _too_long(world):
    below = world.intermediate.subordinate("below", path_length=None)
    chain = (below.certificate, world.intermediate.certificate, world.root.certificate)
    return world.certified(below.leaf(world.leaf_key), chain=chain)


def _many(world):
    chain = [world.root.subordinate().certificate for _ in range(12)]
    return world.certified(chain=(*chain, world.intermediate.certificate, world.root.certificate))


def _certificate(change):
    def make(world):
        claim = world.certified()
        change(world, claim.annotations)
        return claim

    return make


def _annotation(name, change):
    return _certificate(lambda world, found: found.update({name: change(world, found[name])}))


def _other_certificate(world):
    """The log saw another certificate for the same key."""
    claim = world.certified()
    claim.annotations[CERTIFICATE] = pem(world.intermediate.leaf(world.leaf_key)).decode()
    return claim


CERTIFICATES = {
    "no certificate": _certificate(lambda world, found: found.pop(CERTIFICATE)),
    "no promise of the log": _certificate(lambda world, found: found.pop(BUNDLE)),
    "no intermediate": _certificate(lambda world, found: found.pop(CHAIN)),
    "no key to the certificate": lambda world: world.certified(key=new_key()),
    "another certificate in the log": _other_certificate,
    "two certificates": _annotation(CERTIFICATE, lambda world, text: text + pem(world.leaf).decode()),
    "something behind the certificate": _annotation(CERTIFICATE, lambda world, text: text + "trailing"),
    "something before the certificate": _annotation(CERTIFICATE, lambda world, text: "Subject: ann\n" + text),
    "a key for a certificate": _annotation(CERTIFICATE, lambda world, text: public_pem(world.leaf_key).decode()),
    "an empty certificate": _annotation(CERTIFICATE, lambda world, text: ""),
    "junk in the chain": _annotation(CHAIN, lambda world, text: text + "trailing"),
    "a chain of another": _annotation(CHAIN, lambda world, text: pem(*[MALLORY.certificate] * 2).decode()),
    "a chain without end": _many,
    "another authority of that name": _by_mallory,
    "self-signed": _self_signed,
    "a leaf as authority": _by_leaf,
    "a path that is too long": _too_long,
    "expired": _leaf(start=NOW - 7200, end=NOW - 3600),
    "not valid yet": _leaf(start=NOW + 60),
    "valid now, but not when the log saw it": lambda world: world.certified(seconds=NOW - 7200),
    "valid when the log will see it": lambda world: world.certified(seconds=NOW + 7200),
    "a time beyond the calendar": lambda world: world.certified(seconds=(1 << 53) - 1),
    "for servers": _leaf(usage=(x509.ExtendedKeyUsage([SERVER]), False)),
    "for anything": _leaf(usage=(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)),
    "for nothing in particular": _leaf(drop=("usage",)),
    "for key agreement": _leaf(key_usage=(key_usage(key_agreement=True), True)),
    "an authority as leaf": _leaf(constraints=(x509.BasicConstraints(ca=True, path_length=None), True)),
    "something critical that nobody knows": _leaf(unknown=(UNKNOWN, True)),
    "below no authority": _below(ca=False),
    "below one that signs no certificates": _below(usage=key_usage(digital_signature=True)),
    "below one for servers": _below(extensions=[(x509.ExtendedKeyUsage([SERVER]), False)]),
    "below one for other people": _below(
        extensions=[(x509.NameConstraints([x509.RFC822Name("other.example")], None), True)]
    ),
    "below one not for her": _below(extensions=[(x509.NameConstraints(None, [x509.RFC822Name(EMAIL)]), True)]),
    "below one with unknown constraints": _below(extensions=[(UNKNOWN, True)]),
    "below one that expired": _below(start=NOW - 7200, end=NOW - 3600),
    "for another address": _leaf(names=(subject_names(emails=["eve@example.com"]), True)),
    "for an address with more": _leaf(names=(subject_names(emails=[EMAIL + ".evil.example"]), True)),
    "for an address in capitals": _leaf(names=(subject_names(emails=[EMAIL.upper()]), True)),
    "the address in the common name": _leaf(title=EMAIL, drop=("names",)),
    "the address in a URI": _leaf(names=(subject_names(uris=[f"mailto:{EMAIL}"]), True)),
    "the address as a host": _leaf(names=(subject_names(hosts=["ann-example.com"]), True)),
    "another issuer": _issuers((OID_ISSUER, b"https://evil.example")),
    "another issuer in the newer extension": _issuers((OID_ISSUER_DER, utf8_string("https://evil.example"))),
    "two issuers": _issuers((OID_ISSUER, ISSUER.encode()), (OID_ISSUER_DER, utf8_string("https://evil.example"))),
    "two issuers, the other way": _issuers(
        (OID_ISSUER, b"https://evil.example"), (OID_ISSUER_DER, utf8_string(ISSUER))
    ),
    "no issuer": _issuers(),
    "an issuer with more": _issuers((OID_ISSUER, ISSUER.encode() + b"/")),
    "an issuer in bad DER": _issuers((OID_ISSUER_DER, b"\x0c\x7f" + ISSUER.encode())),
    "an issuer of another type": _issuers((OID_ISSUER_DER, b"\x16" + utf8_string(ISSUER)[1:])),
    "an issuer in a long form of DER": _issuers((OID_ISSUER_DER, b"\x0c\x81" + bytes([len(ISSUER)]) + ISSUER.encode())),
    "an issuer with something behind": _issuers((OID_ISSUER_DER, utf8_string(ISSUER) + b"x")),
    "an issuer that is no text": _issuers((OID_ISSUER, b"\xff\xfe")),
}


@pytest.mark.parametrize("change", CERTIFICATES)
def test_other_certificate_is_refused(world, change):
    found = verdict(world.fulcio_policy(), CERTIFICATES[change](world))
    assert not found.accepted
    assert found.reason


def test_good_variants_of_certificates_are_accepted(world):
    for claim in (
        _leaf(drop=("issuer",))(world),
        _leaf(drop=("issuer_der",))(world),
        _leaf(drop=("key_usage",))(world),
        _leaf(unknown=(UNKNOWN, False))(world),
        _below(extensions=[(x509.NameConstraints([x509.RFC822Name("example.com")], None), True)])(world),
        _below(extensions=[(x509.ExtendedKeyUsage([CODE_SIGNING]), False)])(world),
        world.certified(seconds=NOW - 60),
    ):
        found = verdict(world.fulcio_policy(), claim)
        assert found.accepted, found.reason
    direct = world.certified(world.root.leaf(world.leaf_key), chain=())
    assert verdict(world.fulcio_policy(), direct).accepted


def _twins(authority, number):
    """Certificates for the name and key of ``authority`` that it made for itself."""
    extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), (key_usage(key_cert_sign=True), True)]
    return [authority.issue(authority.key, authority.title, extensions) for _ in range(number)]


def test_authority_that_certifies_itself_does_no_harm(world):
    twins = _twins(world.intermediate, 1)
    found = verdict(world.fulcio_policy(), world.certified(chain=(world.intermediate.certificate, *twins, *twins)))
    assert found.accepted, found.reason


@pytest.mark.parametrize("number", [3, 9])
def test_maze_of_certificates_is_refused_at_once(world, number):
    maze = Authority.root("maze")
    leaf = maze.leaf(world.leaf_key)
    begin = time.monotonic()
    found = verdict(world.fulcio_policy(), world.certified(leaf, chain=(*_twins(maze, number), maze.certificate)))
    assert not found.accepted
    assert "too many paths" in found.reason  # not found out by trying them
    assert time.monotonic() - begin < 5


ADDRESS = ipaddress.ip_address("192.0.2.7")


@pytest.mark.parametrize(
    ("names", "policy"),
    [
        (subject_names(emails=[EMAIL]), {"subjectHostname": HOST}),
        (subject_names(hosts=[HOST]), {"subjectHostname": HOST}),  # the policy names an address, too
        (subject_names(emails=[EMAIL], hosts=["other.example.com"]), {"subjectHostname": HOST}),
        (subject_names(emails=[EMAIL], hosts=["*.com"]), {"subjectHostname": HOST}),
        (subject_names(emails=[EMAIL], hosts=["*"]), {"subjectHostname": HOST}),
        (subject_names(emails=[EMAIL], hosts=["*.*.com"]), {"subjectHostname": HOST}),
        (subject_names(emails=[EMAIL], hosts=["b*.example.com"]), {"subjectHostname": HOST}),
        (subject_names(emails=[EMAIL], hosts=["example.com"]), {"subjectHostname": HOST}),
        (subject_names(emails=[EMAIL], hosts=["192.0.2.7"]), {"subjectHostname": "192.0.2.7"}),
        (subject_names(emails=[EMAIL], addresses=[ADDRESS]), {"subjectHostname": "192.0.2.8"}),
        (subject_names(emails=["eve@example.com"], hosts=[HOST]), {"subjectHostname": HOST}),
    ],
)
def test_certificate_for_another_host_is_refused(world, names, policy):
    claim = world.certified(world.pki_leaf(names=(names, False)))
    assert not verdict(world.pki_policy(**policy), claim).accepted


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (subject_names(emails=[EMAIL], hosts=["*.example.com"]), HOST),
        (subject_names(emails=[EMAIL], hosts=[HOST.upper()]), HOST),
        (subject_names(emails=[EMAIL], addresses=[ADDRESS]), "192.0.2.7"),
    ],
)
def test_certificate_for_the_host_is_accepted(world, names, host):
    claim = world.certified(world.pki_leaf(names=(names, False)))
    assert verdict(world.pki_policy(subjectHostname=host), claim).accepted


@pytest.mark.parametrize(
    "changes",
    [
        {"start": NOW - 7200, "end": NOW - 3600},
        {"start": NOW + 1800},
        {"usage": (x509.ExtendedKeyUsage([SERVER]), False)},
        {"drop": ("usage",)},
    ],
    ids=["expired", "not valid yet", "for servers", "for nothing in particular"],
)
def test_certificate_of_own_authority_must_be_valid_now(world, changes):
    claim = world.certified(world.pki_leaf(**changes), seconds=NOW - 4000)
    assert not verdict(world.pki_policy(), claim).accepted


def test_certificate_of_own_authority_needs_its_path(world):
    claim = world.certified(world.pki_leaf(), chain=())
    assert not verdict(world.pki_policy(), claim).accepted
    known = world.pki_policy(caIntermediatesData=encoded(pem(world.intermediate.certificate)))
    assert verdict(known, claim).accepted
    assert not verdict(world.pki_policy(caRootsData=encoded(pem(MALLORY.certificate))), world.certified()).accepted


@pytest.mark.parametrize("data", [b"", b"junk", public_pem(new_key())], ids=["empty", "junk", "a key"])
def test_authority_that_is_none_accepts_nothing(world, data):
    assert not verdict(world.fulcio_policy(caData=encoded(data)), world.certified()).accepted
    assert not verdict(world.pki_policy(caRootsData=encoded(data)), world.certified()).accepted
