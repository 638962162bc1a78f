"""Certificates with any byte changed: what reads them refuses in one line, or nothing that matters was changed."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from sigstore_authorities import EMAIL, HOST, ISSUER, NOW, Authority, new_key, subject_names

from transship.errors import SignatureError
from transship_sigstore.certificate_owner import require_email, require_hostname, require_issuer
from transship_sigstore.certificates import read_certificates, read_leaf, require_path, time_of
from transship_sigstore.pem import write_pem
from transship_sigstore.verification import signing_key

ROOT = Authority.root()
MIDDLE = ROOT.subordinate()
LEAF = MIDDLE.leaf(new_key(), names=(subject_names(emails=[EMAIL], hosts=[HOST]), True))
DER = LEAF.public_bytes(Encoding.DER)


def read(der):
    return read_leaf(write_pem("CERTIFICATE", der))


def require_all(leaf, middle=MIDDLE.certificate):
    require_issuer(leaf, ISSUER)
    require_email(leaf, EMAIL)
    require_hostname(leaf, HOST)
    require_path(leaf, [ROOT.certificate], [middle], time_of(NOW))
    return signing_key(leaf)


def changed(data, der):
    position = data.draw(st.integers(0, len(der) - 1))
    return der[:position] + data.draw(st.binary(max_size=2)) + der[position + 1 :]


def test_certificate_is_accepted_unchanged():
    require_all(read(DER))


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_changed_certificate_is_refused(data):
    der = changed(data, DER)
    if der != DER:
        with pytest.raises(SignatureError) as error:
            require_all(read(der))
        assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_each_check_of_a_changed_certificate_ends_in_one_line(data):
    with contextlib.suppress(SignatureError):
        leaf = read(changed(data, DER))
        for check in (
            lambda: require_issuer(leaf, ISSUER),
            lambda: require_email(leaf, EMAIL),
            lambda: require_hostname(leaf, HOST),
            lambda: require_path(leaf, [ROOT.certificate], [MIDDLE.certificate], time_of(NOW)),
            lambda: signing_key(leaf),
        ):
            with contextlib.suppress(SignatureError):
                check()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_changed_intermediate_is_refused(data):
    middle = MIDDLE.certificate.public_bytes(Encoding.DER)
    der = changed(data, middle)
    with contextlib.suppress(SignatureError):
        (other,) = read_certificates(write_pem("CERTIFICATE", der), "chain")
        require_all(LEAF, other)
        assert der == middle


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_no_certificate(data):
    with pytest.raises(SignatureError):
        read(data)
