from __future__ import annotations

import ssl

import pytest

from transship.errors import TransportError
from transship_docker.tls_details import TlsDetails, load_tls_details


def context():
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def old_suites(tls):
    """The suites of TLS 1.2 and before, as OpenSSL calls them; those of TLS 1.3 are not chosen."""
    return {suite["name"] for suite in tls.get_ciphers() if suite["protocol"] != "TLSv1.3"}


def load(tmp_path, text):
    path = tmp_path / "tls.yaml"
    path.write_text(text)
    return load_tls_details(str(path))


def test_an_empty_file_restricts_nothing(tmp_path):
    assert load(tmp_path, "") == TlsDetails()


def test_everything_is_read(tmp_path):
    details = load(
        tmp_path,
        'minVersion: "1.3"\ncipherSuites: [TLS_AES_128_GCM_SHA256]\nnamedGroups: [x25519, X25519MLKEM768]\n',
    )
    assert details == TlsDetails("1.3", ("TLS_AES_128_GCM_SHA256",), ("x25519", "X25519MLKEM768"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('minVersion: "1.4"', 'unrecognized TLS minimum version "1.4"'),
        ("minVersion: 1.2", "must be a string"),
        ("cipherSuites: [NULL]", "unrecognized|expected a list"),
        ("cipherSuites: [TLS_FAST]", 'unrecognized TLS cipher suite "TLS_FAST"'),
        ("cipherSuites: TLS_FAST", "expected a list"),
        ("namedGroups: [p256]", 'unrecognized TLS named group "p256"'),
        ("minversion: '1.2'", 'unknown key "minversion"'),
        ("[]", "expected a mapping"),
        ("a: [", "parsing"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, text, message):
    with pytest.raises(TransportError, match=message):
        load(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TransportError, match="no such file"):
        load_tls_details(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("version", "expected"), [("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3), ("1.0", None)]
)
def test_the_minimum_version_is_set(version, expected):
    tls = context()
    TlsDetails(min_version=version).apply(tls)
    assert tls.minimum_version == (expected or ssl.TLSVersion.TLSv1)


def test_only_the_named_suites_are_left():
    tls = context()
    TlsDetails(cipher_suites=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",)).apply(tls)
    assert old_suites(tls) == {"ECDHE-RSA-AES128-GCM-SHA256"}


@pytest.mark.parametrize("suites", [(), ("TLS_AES_128_GCM_SHA256",), ("TLS_RSA_WITH_RC4_128_SHA",)])
def test_without_a_usable_suite_only_the_newest_version_is_left(suites):
    tls = context()
    TlsDetails(cipher_suites=suites).apply(tls)
    assert tls.minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("groups", [("x25519",), ("secp521r1", "secp256r1"), ("X25519MLKEM768", "secp384r1")])
def test_named_groups_are_taken(groups):
    TlsDetails(named_groups=groups).apply(context())
