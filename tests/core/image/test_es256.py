from __future__ import annotations

import hashlib

from transship.image import es256


def test_multiples_of_the_generator_are_the_known_ones():
    assert es256._times(1, es256._GENERATOR) == es256._GENERATOR
    twice = es256._times(2, es256._GENERATOR)
    assert twice[0] == 0x7CF27B188D034F7E8A52380304B51AC3C08969E277F21B35A60B48FC47669978
    assert es256._times(es256._N - 1, es256._GENERATOR)[0] == es256._GENERATOR[0]


def test_signature_fits_key_and_message():
    message = b"payload"
    made = es256.sign(message)
    r, s = int.from_bytes(made.signature[:32], "big"), int.from_bytes(made.signature[32:], "big")
    key = (int.from_bytes(made.x, "big"), int.from_bytes(made.y, "big"))
    inverse = pow(s, -1, es256._N)
    hashed = int.from_bytes(hashlib.sha256(message).digest(), "big")
    of_message = es256._times(hashed * inverse % es256._N, es256._GENERATOR)
    of_key = es256._times(r * inverse % es256._N, key)
    assert es256._sum(of_message, of_key)[0] % es256._N == r


def test_signing_is_reproducible():
    assert es256.sign(b"a") == es256.sign(b"a") != es256.sign(b"b")


def test_key_id_is_twelve_groups_of_four():
    assert [len(group) for group in es256.sign(b"a").key_id.split(":")] == [4] * 12
