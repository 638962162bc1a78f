"""Which token services a registry may name."""

from __future__ import annotations

import pytest

from transship_docker.addresses import is_literal, is_private, origin_of
from transship_docker.realm import RealmRefusedError, checked_realm

KNOWN = {
    "registry.tld": ["93.184.216.34"],
    "auth.tld": ["93.184.216.35"],
    "trap.tld": ["93.184.216.36", "10.0.0.1"],
    "registry.corp": ["10.0.0.2"],
    "auth.corp": ["10.0.0.3"],
    "localhost": ["127.0.0.1", "::1"],
    "127.0.0.1": ["127.0.0.1"],
    "metadata": ["169.254.169.254"],
    "registry.corp.": ["10.0.0.4"],
}


def checked(realm, registry="https://registry.tld", **settings):
    settings.setdefault("insecure", False)
    return checked_realm(realm, registry, ask=lambda host: KNOWN.get(host, []), **settings)


@pytest.mark.parametrize(
    ("realm", "registry", "settings"),
    [
        ("https://auth.tld/token?x=y", "https://registry.tld", {}),
        ("https://registry.tld:444/token", "https://registry.tld", {}),
        ("https://auth.tld/token", "https://registry.corp", {}),
        ("https://auth.corp/token", "https://registry.corp", {"allowed_hosts": ["auth.corp"]}),
        ("http://127.0.0.1:2/token", "http://127.0.0.1:1", {"insecure": True}),
        ("http://localhost:2/token", "http://127.0.0.1:1", {"insecure": True}),
        ("http://auth.tld/token", "https://registry.tld", {"insecure": True}),
    ],
)
def test_sound_realms_are_accepted(realm, registry, settings):
    checked(realm, registry, **settings)


def test_a_public_registry_keeps_us_at_public_addresses():
    assert checked("https://auth.tld/token")
    assert not checked("https://registry.tld/token")


def test_a_proxy_finds_out_where_a_name_is_but_no_literal_address_is_asked_for(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.tld:3128")
    assert not checked("https://auth.tld/token")
    assert not checked("https://only-the-proxy-knows/token")
    for address in ("10.0.0.1", "[fd00::1]", "8.8.8.8", "169\u3002254\uff0e169\uff61254", "\uff11\uff10.0.0.1"):
        with pytest.raises(RealmRefusedError):
            checked(f"https://{address}/token")


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("http://auth.tld/token", "https://registry.tld"),
        ("file:///etc/passwd", "https://registry.tld"),
        ("ftp://auth.tld/", "https://registry.tld"),
        ("/token", "https://registry.tld"),
        ("https:///token", "https://registry.tld"),
        ("https://u:p@auth.tld/token", "https://registry.tld"),
        ("https://auth.tld/token#x", "https://registry.tld"),
        ("https://auth.tld:99999/token", "https://registry.tld"),
        ("https://[::1/token", "https://registry.tld"),
        ("https://10.0.0.1/token", "https://registry.tld"),
        ("https://8.8.8.8/token", "https://registry.tld"),
        ("https://8.8.8.8./token", "https://registry.tld"),
        ("https://registry.corp./token", "https://registry.corp"),
        ("https://2130706433/token", "https://registry.tld"),
        ("https://[::1]/token", "https://registry.tld"),
        ("https://localhost/token", "https://registry.tld"),
        ("https://trap.tld/token", "https://registry.tld"),
        ("https://metadata/token", "https://registry.tld"),
        ("https://auth.corp/token", "https://registry.corp"),
        ("https://metadata/token", "https://registry.corp"),
        ("https://localhost/token", "https://registry.corp"),
    ],
)
def test_unsound_realms_are_refused(realm, registry):
    with pytest.raises(RealmRefusedError):
        checked(realm, registry)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "fd00::1", "x"),
        *("64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "::127.0.0.1", "2002:a00:1::", "ff0e::1", "224.0.0.1", "0.0.0.1"),
    ],
)
def test_private_addresses_are_known(address):
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_known(address):
    assert not is_private(address)


def test_odd_notations_are_addresses_too():
    assert all(map(is_literal, ["127.1", "0x7f000001", "2130706433", "::1", "1.2.3.4"]))
    assert not any(map(is_literal, ["a.tld", "", "1.2.3.4.tld"]))


def test_origins_differ_in_scheme_host_or_port():
    same = ["https://a.tld", "HTTPS://A.TLD:443/x", "https://u:p@a.tld/?q#f"]
    others = ["http://a.tld", "https://a.tld:444", "https://b.tld", "https://a.tld.", "https://a.tld../"]
    assert len(set(map(origin_of, same))) == 1
    assert len(set(map(origin_of, [same[0], *others]))) == 1 + len(others)
