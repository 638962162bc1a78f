"""Private keys in files."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.secret import SecretBox

from transship.errors import SignatureError
from transship_sigstore.key_envelope import seal, unseal
from transship_sigstore.keys import generate_key, private_key_der, read_private_key
from transship_sigstore.pem import read_pem, write_pem

LABEL = "ENCRYPTED COSIGN PRIVATE KEY"
KEY = generate_key()
SEALED = seal(KEY, b"secret")
ENVELOPE = json.loads(read_pem(SEALED, "key")[0].data)


def rewritten(change=lambda envelope: None, label=LABEL):
    envelope = json.loads(json.dumps(ENVELOPE))
    change(envelope)
    return write_pem(label, json.dumps(envelope).encode())


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["P-256", "P-521", "RSA", "Ed25519"],
)
def test_key_of_every_kind_comes_back(key):
    assert private_key_der(unseal(seal(key, b""), b"")) == private_key_der(key)


def test_older_and_newer_forms_are_read():
    assert private_key_der(unseal(rewritten(label="ENCRYPTED SIGSTORE PRIVATE KEY"), b"secret")) == private_key_der(KEY)
    derived = hashlib.scrypt(b"old", salt=b"s" * 32, n=32768, r=8, p=1, maxmem=1 << 27, dklen=32)

    def change(envelope):
        envelope["kdf"] = {"name": "scrypt", "params": {"N": 32768, "r": 8, "p": 1}, "salt": _text(b"s" * 32)}
        envelope["cipher"]["nonce"] = _text(b"n" * 24)
        envelope["ciphertext"] = _text(SecretBox(derived).encrypt(private_key_der(KEY), b"n" * 24).ciphertext)

    assert private_key_der(unseal(rewritten(change), b"old")) == private_key_der(KEY)


def _text(data):
    return base64.b64encode(data).decode()


def test_nothing_of_the_key_is_in_the_clear():
    assert private_key_der(KEY) not in base64.b64decode(b"".join(SEALED.splitlines()[1:-1]))
    assert seal(KEY, b"secret") != SEALED


@pytest.mark.parametrize("passphrase", [b"", b"secret\n"])
def test_wrong_passphrase_is_refused(passphrase):
    with pytest.raises(SignatureError) as error:
        unseal(SEALED, passphrase)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda envelope: envelope["kdf"].update(name="pbkdf2"),
        lambda envelope: envelope["kdf"]["params"].update(N=1 << 30),
        lambda envelope: envelope["kdf"]["params"].update(N=2),
        lambda envelope: envelope["kdf"]["params"].update(N="65536"),
        lambda envelope: envelope["kdf"]["params"].update(r=1 << 20),
        lambda envelope: envelope["kdf"]["params"].update(p=1 << 20),
        lambda envelope: envelope["kdf"].pop("params"),
        lambda envelope: envelope["kdf"].pop("salt"),
        lambda envelope: envelope["kdf"].update(salt="*"),
        lambda envelope: envelope["kdf"].update(salt=_text(b"s" * 5000)),
        lambda envelope: envelope["kdf"].update(salt=[]),
        lambda envelope: envelope.pop("kdf"),
        lambda envelope: envelope.update(cipher="none"),
        lambda envelope: envelope["cipher"].update(name="none"),
        lambda envelope: envelope["cipher"].update(nonce=_text(b"n" * 23)),
        lambda envelope: envelope["cipher"].update(nonce=_text(b"n" * 24)),
        lambda envelope: envelope.update(ciphertext=""),
        lambda envelope: envelope.update(ciphertext=envelope["ciphertext"][:-4]),
        lambda envelope: envelope.pop("ciphertext"),
    ],
)
def test_other_envelope_is_refused(change):
    with pytest.raises(SignatureError):
        unseal(rewritten(change), b"secret")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no key",
        SEALED + SEALED,
        SEALED + b"more",
        SEALED[:-5],
        write_pem("PRIVATE KEY", private_key_der(KEY)),
        write_pem(LABEL, b"[]"),
        write_pem(LABEL, b"{"),
        write_pem(LABEL, b"{}" * 2),
    ],
)
def test_other_text_is_refused(text):
    with pytest.raises(SignatureError):
        unseal(text, b"secret")


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"junk",
        private_key_der(KEY) + b"\0",
        private_key_der(dsa.generate_private_key(2048)),
        private_key_der(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - it is refused
        private_key_der(ec.generate_private_key(ec.SECP256K1())),
    ],
    ids=["empty", "junk", "something behind", "DSA", "small RSA", "unused curve"],
)
def test_other_key_inside_is_refused(der):
    with pytest.raises(SignatureError):
        read_private_key(der)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
# Never the real cost together with a whole envelope: then the key would be derived each time.
PARTS = st.sampled_from(["kdf", "cipher", "ciphertext"])


@settings(deadline=None)
@given(st.dictionaries(PARTS | st.text(max_size=5), JSON, max_size=4))
def test_any_envelope_is_refused_in_one_line(envelope):
    with pytest.raises(SignatureError) as error:
        unseal(write_pem(LABEL, json.dumps(envelope).encode()), b"")
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    for text in (data, write_pem(LABEL, data)):
        with pytest.raises(SignatureError):
            unseal(text, b"")
