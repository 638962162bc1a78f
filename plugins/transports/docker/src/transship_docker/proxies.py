"""Proxies that the environment names: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``, in either case of letters."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from transship_docker.addresses import origin_of


def proxy_for(url: str) -> str:
    """The proxy to ask ``url`` through, ``""``: none. This machine itself is never asked through one."""
    scheme, host, port = origin_of(url)
    proxy = _variable(f"{scheme}_proxy")
    if not proxy or _is_this_machine(host) or _is_excepted(host, port):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(name: str) -> str:
    # In a CGI program HTTP_PROXY is what a client sent as its Proxy header.
    if name == "http_proxy" and "REQUEST_METHOD" in os.environ:
        return ""
    return os.environ.get(name.upper(), "") or os.environ.get(name, "")


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_excepted(host: str, port: int | None) -> bool:
    return any(_matches(rule.strip().lower(), host, port) for rule in _variable("no_proxy").split(","))


def _matches(rule: str, host: str, port: int | None) -> bool:
    if rule in ("", "*"):
        return rule == "*"
    address = _address(host)
    if "/" in rule:
        return address is not None and _contains(rule, address)
    if (ruled := _address(rule.strip("[]"))) is not None:
        return ruled == address
    try:
        parts = urlsplit(f"//{rule}")
        name, wanted = parts.hostname or "", parts.port
    except ValueError:
        return False
    if wanted not in (None, port):
        return False
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _contains(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
