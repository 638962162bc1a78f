"""TLS towards one host: the system's roots, certs.d, client certificates."""

from __future__ import annotations

import contextlib
import os
import re
import ssl

from transship.errors import TransportError
from transship_docker.configuration import per_user, read_file, reason, system_folder, system_wide

_FOLDER = "certs.d"
_CERTIFICATE = rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----"
_HASHED = r"[0-9a-f]{8}\.[0-9]+"
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
)


def tls_context(host: str, *, cert_dir: str = "", verify: bool = True, tls_details: str = "") -> ssl.SSLContext:
    """How to speak TLS to ``host[:port]``, written as in the reference (``docker.io``).

    ``cert_dir`` replaces the host's folder in certs.d. ``tls_details`` is the path of containers-tls-details.yaml.
    Raises ``TransportError`` for client certificates without key, or the other way round, and unreadable files.
    """
    context = _new_context()
    # any trusted certificate is an anchor, also one that is no root
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if verify:
        _trust_system(context)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    folder = cert_dir or _host_folder(host)
    if folder:
        _add_folder(context, folder)
    if tls_details:
        from transship_docker.tls_details import load_tls_details

        load_tls_details(tls_details).apply(context)
    return context


def system_tls_context() -> ssl.SSLContext:
    """How to speak TLS to whoever has a certificate that the machine trusts."""
    context = _new_context()
    _trust_system(context)
    return context


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    return context


def _trust_system(context: ssl.SSLContext) -> None:
    """The roots of the machine, or what SSL_CERT_FILE and SSL_CERT_DIR name instead."""
    context.set_default_verify_paths()
    for folder in filter(None, os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)):
        _trust_folder(context, folder)
    if "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ:
        return
    built_in = ssl.get_default_verify_paths()
    if built_in.cafile or (built_in.capath and _has_entries(built_in.capath)):
        return
    bundle = next((path for path in _BUNDLES if os.path.exists(path)), None)
    if bundle:  # an interpreter that was built on another system looks in places that are not here
        context.load_verify_locations(bundle)


def _trust_folder(context: ssl.SSLContext, folder: str) -> None:
    """The certificates of a folder whose names the TLS library would not find, which asks for them by hash."""
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(folder))
        paths = {name: os.path.join(folder, name) for name in names}
        found = {os.path.realpath(path) for name, path in paths.items() if re.fullmatch(_HASHED, name)}
        for path in paths.values():
            if os.path.isfile(path) and os.path.realpath(path) not in found:
                with contextlib.suppress(TransportError):  # one that cannot be read is not trusted
                    _add_authority(context, path)


def _has_entries(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except OSError:
        return False


def _host_folder(host: str) -> str:
    """The first folder of ``host`` that exists, ``""`` if none does."""
    if "/" in host or host in ("", ".", ".."):
        raise TransportError(f'"{host}" is no host')
    places = (per_user(_FOLDER), system_wide(_FOLDER), os.path.join(system_folder(), "docker", _FOLDER))
    for place in places:
        folder = os.path.join(place, host)
        try:
            os.stat(folder)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except OSError as error:
            raise TransportError(reason(error)) from error
        return folder
    return ""


def _add_folder(context: ssl.SSLContext, folder: str) -> None:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, PermissionError):
        return
    except OSError as error:
        raise TransportError(reason(error)) from error
    for name in names:
        if name.endswith(".crt"):
            _add_authority(context, os.path.join(folder, name))
    for certificate, key in reversed(_client_pairs(names)):  # of one kind of key the library keeps the last
        _add_client(context, os.path.join(folder, certificate), os.path.join(folder, key))


def _client_pairs(names: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix == ".cert":
            if f"{stem}.key" not in names:
                raise TransportError(
                    f"missing key {stem}.key for client certificate {name}. "
                    "Note that CA certificates should use the extension .crt"
                )
            pairs.append((name, f"{stem}.key"))
        elif suffix == ".key" and f"{stem}.cert" not in names:
            raise TransportError(f"missing client certificate {stem}.cert for key {name}")
    return pairs


def _add_authority(context: ssl.SSLContext, path: str) -> None:
    try:
        data = read_file(path)
    except FileNotFoundError:  # a link to nowhere
        return
    except OSError as error:
        raise TransportError(reason(error)) from error
    for found in re.finditer(_CERTIFICATE, data):
        try:
            context.load_verify_locations(cadata=found[0].decode("ascii"))
        except (ssl.SSLError, ValueError):  # as the peers do: what is no certificate says nothing
            continue


def _add_client(context: ssl.SSLContext, certificate: str, key: str) -> None:
    try:
        for path in (certificate, key):
            read_file(path)  # the TLS library would wait for a pipe
        # a key with a passphrase is an error: nobody is asked
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        what = error.reason if isinstance(error, ssl.SSLError) and error.reason else error.__class__.__name__
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            what = (error.strerror or str(error)).lower()
        raise TransportError(f"loading client certificate {certificate} with key {key}: {what}") from None
