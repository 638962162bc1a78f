"""Proxies of the environment."""

from __future__ import annotations

import pytest

from transship_docker.proxies import proxy_for


@pytest.fixture(autouse=True)
def _proxies(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("http_proxy", "proxy:2")


@pytest.mark.parametrize(
    ("url", "exceptions", "proxy"),
    [
        ("https://h.tld/", "", "http://proxy:1"),
        ("http://h.tld/", "", "http://proxy:2"),
        ("https://localhost:5000/", "", ""),
        ("https://127.0.0.1/", "", ""),
        ("https://[::1]/", "", ""),
        ("https://h.tld/", "*", ""),
        ("https://h.tld/", "other, h.tld", ""),
        ("https://sub.h.tld/", "h.tld", ""),
        ("https://h.tld/", ".h.tld", "http://proxy:1"),
        ("https://sub.h.tld/", "*.h.tld", ""),
        ("https://xh.tld/", "h.tld", "http://proxy:1"),
        ("https://h.tld:444/", "h.tld:443", "http://proxy:1"),
        ("https://h.tld/", "h.tld:443", ""),
        ("https://10.1.2.3/", "10.0.0.0/8", ""),
        ("https://10.1.2.3/", "nonsense/8,10.1.2.3", ""),
    ],
)
def test_proxy_is_chosen(monkeypatch, url, exceptions, proxy):
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert proxy_for(url) == proxy


def test_a_cgi_program_does_not_believe_its_client(monkeypatch):
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert proxy_for("http://h.tld/") == ""
