"""Signatures that must not be accepted for the image, by a policy that trusts the keys ``TRUSTED``."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable

from openpgp_keys import BEFORE_EXPIRY, IMAGE, NAME, Gnupg, Parts, literal, packet, payload, status_lines

from transship.image.digest import digest_of
from transship.testing.images import schema2_image

TRUSTED = ("ed25519", "rsa", "old", "key-expired", "liar", "certifier")
OTHER_DIGEST = schema2_image().digest

ATTACKS: dict[str, Callable[[Gnupg], bytes]] = {}


def _attack(build: Callable[[Gnupg], bytes]) -> Callable[[Gnupg], bytes]:
    ATTACKS[build.__name__.removeprefix("_")] = build
    return build


def _signed(people: Gnupg, content: bytes, *options: str) -> bytes:
    return people.sign(content, "ed25519", *options)


def _parts(people: Gnupg, content: bytes | None = None, name: str = "ed25519") -> Parts:
    content = payload() if content is None else content
    return Parts.of(people.sign(content, name, "-z0"), content)


def _document(**changes: object) -> dict:
    return {**json.loads(payload()), **changes}


def _critical(**changes: object) -> bytes:
    document = _document()
    document["critical"] |= changes
    return json.dumps(document).encode()


# What is said

PAYLOADS = {
    "digest_of_another_image": payload(digest=OTHER_DIGEST),
    "another_tag": payload("registry.example.com/team/app:2.0"),
    "another_repository": payload("registry.example.com/team/other:1.0"),
    "another_registry": payload("registry.example.org/team/app:1.0"),
    "parent_repository": payload("registry.example.com/team:1.0"),
    "no_tag": payload("registry.example.com/team/app"),
    "tag_and_another_digest": payload(f"registry.example.com/team/app:1.0@{OTHER_DIGEST}"),
    "name_with_a_line_feed": payload(NAME + "\n"),
    "name_in_upper_case": payload(NAME.upper()),
    "empty_name": payload(""),
    "digest_in_upper_case": payload(digest=str(digest_of(IMAGE.manifest)).upper()),
    "digest_without_algorithm": payload(digest=digest_of(IMAGE.manifest).encoded),
    "digest_of_a_weak_algorithm": payload(digest="md5:" + "0" * 32),
    "another_type": _critical(type="cosign container image signature"),
    "no_type": json.dumps({"critical": {}, "optional": {}}).encode(),
    "name_is_a_list": _critical(identity={"docker-reference": [NAME]}),
    "digest_is_null": _critical(image={"docker-manifest-digest": None}),
    "extra_key_at_the_top": json.dumps(_document(extra=1)).encode(),
    "extra_key_in_critical": _critical(extra=1),
    "extra_key_in_image": _critical(image={"docker-manifest-digest": str(digest_of(IMAGE.manifest)), "extra": 1}),
    "key_in_another_case": payload().replace(b'"critical"', b'"Critical"'),
    "optional_is_null": json.dumps(_document(optional=None)).encode(),
    "optional_is_missing": payload().replace(b',"optional":', b',"optional ":'),
    "timestamp_is_text": json.dumps(_document(optional={"timestamp": "1"})).encode(),
    "duplicate_key": payload().replace(b'{"critical"', b'{"optional":{},"critical"'),
    "duplicate_digest": payload(digest=OTHER_DIGEST).replace(
        b'"image":{', f'"image":{{"docker-manifest-digest":"{digest_of(IMAGE.manifest)}",'.encode()
    ),
    "duplicate_name": payload("example.com/other:1").replace(
        b'"identity":{', f'"identity":{{"docker-reference":"{NAME}",'.encode()
    ),
    "two_documents": payload() * 2,
    "trailing_data": payload() + b"{}",
    "array": b"[" + payload() + b"]",
    "not_json": b"registry.example.com/team/app:1.0",
    "not_utf8": payload().replace(b"transship", b"\xff\xfe"),
    "utf16": payload().decode().encode("utf-16"),
    "byte_order_mark": b"\xef\xbb\xbf" + payload(),
    "deep_nesting": payload().replace(b'"timestamp":1', b'"deep":' + b"[" * 100_000 + b"]" * 100_000),
    "nothing": b"",
}
for _name, _content in PAYLOADS.items():
    ATTACKS[f"says_{_name}"] = lambda people, content=_content: _signed(people, content)


# Who says it


@_attack
def _key_not_in_keyring(people: Gnupg) -> bytes:
    return people.sign(payload(), "attacker")


@_attack
def _key_of_another_scope(people: Gnupg) -> bytes:
    return people.sign(payload(), "other")


@_attack
def _key_that_has_expired_since(people: Gnupg) -> bytes:
    return people.sign(payload(), "key-expired", "--faked-system-time", BEFORE_EXPIRY)


@_attack
def _signature_that_has_expired(people: Gnupg) -> bytes:
    return people.sign(payload(), "old", "--faked-system-time", BEFORE_EXPIRY, "--default-sig-expire", "1d")


@_attack
def _key_that_may_not_sign(people: Gnupg) -> bytes:
    return people.earlier["certifier"]


@_attack
def _weak_digest(people: Gnupg) -> bytes:
    return people.sign(payload(), "rsa", "--digest-algo=MD5", "--allow-weak-digest-algos")


@_attack
def _issuer_forged(people: Gnupg) -> bytes:
    message = people.sign(payload(), "attacker", "-z0")
    mine, trusted = (bytes.fromhex(people.fingerprint(name)) for name in ("attacker", "ed25519"))
    return message.replace(mine, trusted).replace(mine[-8:], trusted[-8:])


# How it is put together


@_attack
def _payload_changed(people: Gnupg) -> bytes:
    parts = _parts(people, payload("registry.example.com/team/app:2.0"))
    return parts.one_pass + parts.literal.replace(b"app:2.0", b"app:1.0") + parts.signature


@_attack
def _literal_replaced(people: Gnupg) -> bytes:
    parts = _parts(people, b"something else")
    return parts.one_pass + literal(payload()) + parts.signature


@_attack
def _signature_of_another_message(people: Gnupg) -> bytes:
    return _parts(people).one_pass + _parts(people).literal + _parts(people, b"something else").signature


@_attack
def _two_signatures(people: Gnupg) -> bytes:
    return _signed(people, payload(), "--local-user", people.fingerprint("rsa"))


@_attack
def _two_messages(people: Gnupg) -> bytes:
    return _signed(people, b"something else", "-z0") + literal(payload())


@_attack
def _signed_message_after_another(people: Gnupg) -> bytes:
    return _signed(people, payload(), "-z0") * 2


@_attack
def _unsigned_text(people: Gnupg) -> bytes:
    return people.run("--store", data=payload())


@_attack
def _unsigned_text_before(people: Gnupg) -> bytes:
    return literal(payload()) + _signed(people, b"something else", "-z0")


@_attack
def _unsigned_text_inside(people: Gnupg) -> bytes:
    parts = _parts(people, b"something else")
    return parts.one_pass + literal(payload()) + parts.literal + parts.signature


@_attack
def _unsigned_text_after(people: Gnupg) -> bytes:
    parts = _parts(people, b"something else")
    return parts.one_pass + parts.literal + parts.signature + literal(payload())


@_attack
def _message_within_a_message(people: Gnupg) -> bytes:
    inner, outer = people.sign(payload(), "attacker", "-z0"), _parts(people, b"something else")
    return outer.one_pass + inner + outer.signature


@_attack
def _compressed_twice(people: Gnupg) -> bytes:
    return packet(8, b"\2" + zlib.compress(_signed(people, payload())))


@_attack
def _trailing_bytes(people: Gnupg) -> bytes:
    return _signed(people, payload(), "-z0") + b"\n"


@_attack
def _trailing_bytes_after_compression(people: Gnupg) -> bytes:
    return _signed(people, payload()) + b"more"


@_attack
def _trailing_packet(people: Gnupg) -> bytes:
    return _signed(people, payload(), "-z0") + packet(10, b"PGP")


@_attack
def _truncated(people: Gnupg) -> bytes:
    return _signed(people, payload(), "-z0")[:-1]


@_attack
def _truncated_compression(people: Gnupg) -> bytes:
    return _signed(people, payload())[:-8]


@_attack
def _detached(people: Gnupg) -> bytes:
    return people.run("--local-user", people.fingerprint("ed25519"), "--detach-sign", data=payload())


@_attack
def _detached_beside_the_text(people: Gnupg) -> bytes:
    return literal(payload()) + _detached(people)


@_attack
def _cleartext(people: Gnupg) -> bytes:
    return people.run("--local-user", people.fingerprint("ed25519"), "--clear-sign", data=payload())


@_attack
def _armored(people: Gnupg) -> bytes:
    return _signed(people, payload(), "--armor")


@_attack
def _encrypted_with_a_password(people: Gnupg) -> bytes:
    options = ("--pinentry-mode=loopback", "--passphrase=x", "--local-user", people.fingerprint("ed25519"))
    return people.run(*options, "--sign", "--symmetric", data=payload())


@_attack
def _public_key(people: Gnupg) -> bytes:
    return people.export("ed25519")


@_attack
def _secret_key(people: Gnupg) -> bytes:
    return people.run("--export-secret-keys", people.fingerprint("ed25519"))


@_attack
def _revocation_certificate(people: Gnupg) -> bytes:
    return (people.home / "openpgp-revocs.d" / f"{people.fingerprint('ed25519')}.rev").read_bytes()


@_attack
def _bomb(people: Gnupg) -> bytes:
    compressor = zlib.compressobj(9)
    zeros = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(256)) + compressor.flush()
    return packet(8, b"\2" + zeros)


@_attack
def _bomb_in_the_text(people: Gnupg) -> bytes:
    return _signed(people, payload() + b" " * (32 << 20))


@_attack
def _endless_packets(people: Gnupg) -> bytes:
    return packet(8, b"\2" + zlib.compress(packet(10, b"PGP") * 400_000))


@_attack
def _rubbish(people: Gnupg) -> bytes:
    return b"\x90" + bytes(range(256))


# What it makes gpg say


@_attack
def _file_name_with_status_lines(people: Gnupg) -> bytes:
    return people.sign(payload(), "attacker", "--set-filename", status_lines(people.fingerprint("ed25519"))[:250])


@_attack
def _file_name_with_status_lines_and_no_signature(people: Gnupg) -> bytes:
    return literal(payload(), status_lines(people.fingerprint("ed25519")).encode()[:255])


@_attack
def _user_id_with_status_lines(people: Gnupg) -> bytes:
    """Of a key in the keyring, which has expired."""
    return people.sign(payload(), "liar", "--faked-system-time", BEFORE_EXPIRY)
