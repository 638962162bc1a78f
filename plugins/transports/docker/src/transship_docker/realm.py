"""Which token service a registry may send us to.

A registry could otherwise make this machine call services that only it reaches, and hand them credentials.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from transship.errors import TransportError
from transship_docker.addresses import Resolve, is_literal, is_private, origin_of, resolve
from transship_docker.errors import printable, redacted
from transship_docker.proxies import proxy_for


class RealmRefusedError(TransportError):
    """A registry names a token service that it may not name."""


def checked_realm(
    realm: str, registry_url: str, *, insecure: bool, allowed_hosts: Collection[str] = (), ask: Resolve = resolve
) -> bool:
    """Whether connections to ``realm`` must end at a public address; raises ``RealmRefusedError`` if none may be made.

    ``registry_url`` is where the registry was reached. ``insecure``: it may do without https. ``allowed_hosts`` are
    hosts that the user trusts to be token services, wherever they are.
    """
    scheme, host = _parts(realm)
    registry_scheme, registry_host, _ = origin_of(registry_url)
    if scheme == "http" and not insecure:
        raise RealmRefusedError(
            f"the {registry_scheme} registry names a token service without https: {redacted(realm)}"
        )
    if host == registry_host or host in allowed_hosts:
        return False
    if proxy_for(realm):  # the proxy finds out where the host is, and decides whether we may go there
        if is_literal(host):
            raise _refused(realm, host)
        return False
    is_public = not _is_private(registry_host, ask)
    if is_public and (is_literal(host) or _is_private(host, ask)):
        raise _refused(realm, host)
    if not is_public and _is_private(host, ask) and not _are_this_machine((host, registry_host), ask):
        raise _refused(realm, host)
    return is_public


def _parts(realm: str) -> tuple[str, str]:
    try:
        parts = urlsplit(realm)
        scheme, host, _ = origin_of(realm)
    except ValueError:
        raise RealmRefusedError(f"invalid realm in bearer auth challenge: {printable(realm)!r}") from None
    if scheme not in ("http", "https") or not host:
        raise RealmRefusedError(f"invalid realm in bearer auth challenge: {redacted(realm)}")
    if "@" in parts.netloc or parts.fragment:
        raise RealmRefusedError(f"invalid realm in bearer auth challenge: {redacted(realm)} with user or fragment")
    return scheme, host


def _is_private(host: str, ask: Resolve) -> bool:
    return host == "localhost" or host.endswith(".localhost") or any(map(is_private, ask(host)))


def _are_this_machine(hosts: Iterable[str], ask: Resolve) -> bool:
    return all(address.startswith("127.") or address == "::1" for host in hosts for address in ask(host))


def _refused(realm: str, host: str) -> RealmRefusedError:
    return RealmRefusedError(
        f"the registry names a token service at a private address, {redacted(realm)}; "
        f"if it is right, allow it: token-hosts={printable(host)}"
    )
