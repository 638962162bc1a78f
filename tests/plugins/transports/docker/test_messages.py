"""Heads of requests and of answers."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship_docker.messages import Address, Headers, encoded_headers

_CHARACTERS = "abcXYZ019-._~!$&'()*+,;=:@/%?#[] \"<>\\^`{|}é\t"
_PARTS = st.text(_CHARACTERS, max_size=12)


@given(
    st.sampled_from(["http", "https", "HTTP"]),
    st.sampled_from(["localhost", "a.example.com", "A.example.com", "127.0.0.1", "[::1]", "bücher.example", "u:p@h"]),
    st.sampled_from(["", ":80", ":443", ":5000", ":05000", ":65535"]),
    _PARTS,
    st.booleans(),
)
def test_what_needs_no_encoding_is_sent_as_the_library_would_send_it(scheme, host, port, path, has_query):
    text = f"{scheme}://{host}{port}/{path}{'?' + path if has_query else ''}"
    try:
        expected = httpx.URL(text)
    except httpx.InvalidURL:
        with pytest.raises(ValueError, match=r"."):
            Address.parse(text)
        return
    url, shown = Address.parse(text)
    assert (url.scheme, url.host, url.port) == (expected.raw_scheme, expected.raw_host, expected.port)
    assert (url.target, shown) == (expected.raw_path, expected.netloc)


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "shown"),
    [
        ("http://localhost:5000/v2/", b"localhost", 5000, b"/v2/", b"localhost:5000"),
        ("https://r.example:443/v2/a?n=1", b"r.example", None, b"/v2/a?n=1", b"r.example"),
        ("http://r.example:443/", b"r.example", 443, b"/", b"r.example:443"),
        ("http://[::1]:5000/v2/", b"::1", 5000, b"/v2/", b"[::1]:5000"),
        ("https://user:secret@r.example/", b"r.example", None, b"/", b"r.example"),
        ("https://R.Example/A b#c", b"r.example", None, b"/A%20b", b"r.example"),
        ("https://r.example/a/../b", b"r.example", None, b"/b", b"r.example"),
        ("https://bücher.example/", b"xn--bcher-kva.example", None, b"/", b"xn--bcher-kva.example"),
        ("https://r.example", b"r.example", None, b"/", b"r.example"),
    ],
)
def test_address_is_encoded(text, host, port, target, shown):
    url, header = Address.parse(text)
    assert (url.host, url.port, url.target, header) == (host, port, target, shown)


@pytest.mark.parametrize(
    "text",
    [
        "http://r.example/\r\nX: y",
        "http://r.example/\n",
        "http://r.example:99999/",
        "http://[::1/",
        " https://r.example/",
        "ftp://r.example/",
        "http:////r.example/",
    ],
)
def test_address_that_cannot_be_sent_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Address.parse(text)


def test_header_beyond_ascii_is_refused():
    with pytest.raises(ValueError, match="ascii"):
        encoded_headers((("Range", "bytes=0-é"),))


def test_header_lines_are_found_in_any_case_and_joined():
    headers = Headers([(b"Link", b"<a>"), (b"LINK", b"<b>"), (b"X-Word", "ü".encode()), (b"X-Old", b"\xfc")])
    assert headers["link"] == "<a>, <b>"
    assert headers.get_list("Link") == ["<a>", "<b>"]
    assert (headers["x-word"], headers["x-old"]) == ("ü", "ü")
    assert headers.get("absent", "") == ""
    assert headers.get_list("absent") == []
    assert "LINK" in headers
    assert "absent" not in headers
    assert sorted(headers) == ["link", "x-old", "x-word"]


_OTHERS_USE = """
import asyncio, http.server, threading
import transship_docker.http
import certifi, httpcore, httpx

async def ask(url):
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).status_code

server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
print(certifi.where().endswith(".pem"), asyncio.run(ask(url)), httpx.get(url, trust_env=False).status_code)
with httpcore.ConnectionPool() as pool:
    print(pool.request("GET", url).status)
print(httpcore._ssl.default_ssl_context().cert_store_stats()["x509_ca"] > 9)
"""


def test_library_is_whole_for_others_in_the_same_process(tmp_path):
    shown = subprocess.run(
        [sys.executable, "-c", _OTHERS_USE], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    assert shown.split() == ["True", "200", "200", "200", "True"]
