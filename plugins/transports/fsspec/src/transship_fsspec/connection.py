"""How file systems of fsspec are made, with our options, and ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Mapping
from typing import Any

from transship.errors import InvalidReferenceError, TransportError
from transship.plugin.context import Context
from transship.plugin.files import home_folder

from .failures import reason_of, reporting
from .reference import Url

CONNECT_SECONDS = 30
SILENT_SECONDS = 60  # without a byte

_PACKAGES = {
    "abfs": "adlfs",
    "gcs": "gcsfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "oss": "ossfs",
    "s3": "s3fs",
    "sftp": "paramiko",
    "smb": "smbprotocol",
    "webdav": "webdav4[fsspec]",
}


class Connections:
    """File systems for one kind of URL, each in use by one image at a time. Threads may share it."""

    def __init__(self, url: Url, options: Mapping[str, str]) -> None:
        self._url = url
        self._options = options
        self._idle: list[Any] = []
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self) -> Any:
        """A file system; raises ``TransportError`` where none can be had."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _make(self._url, self._options)

    def give_back(self, filesystem: Any) -> None:
        """Let the next one have it."""
        with self._lock:
            if not self._is_closed:
                self._idle.append(filesystem)
                return
        self.end(filesystem)

    def end(self, filesystem: Any) -> None:
        """Close what fsspec leaves to the end of the process; it has no one way to do so."""
        if self._url.scheme == "sftp":
            filesystem.client.close()
        elif self._url.scheme == "s3" and getattr(filesystem, "_s3", None) is not None:
            filesystem.close_session(filesystem.loop, filesystem._s3)

    def close(self) -> None:
        """End all of them. May be called more than once."""
        with self._lock:
            idle, self._idle, self._is_closed = self._idle, [], True
        for filesystem in idle:
            self.end(filesystem)


def connections_for(url: Url, context: Context) -> Connections:
    """Those that all images of a run have in common; one that stands alone ends its own when it gives them back."""
    key: Hashable = ("fsspec", url.scheme, url.host, tuple(sorted(context.options.items())))
    connections = context.obtain(key, lambda: Connections(url._replace(path=""), context.options))
    if context.shared is None:
        connections.close()
    return connections


def _make(url: Url, options: Mapping[str, str]) -> Any:
    try:
        import fsspec
    except Exception as error:  # its configuration files are read on import
        raise TransportError(f"fsspec cannot be loaded: {' '.join(str(error).split())}") from error
    try:
        factory = _sftp_factory() if url.scheme == "sftp" else fsspec.get_filesystem_class(url.scheme)
    except ImportError as error:
        package = _PACKAGES.get(url.scheme)
        hint = f"pip install '{package}'" if package else reason_of(error)
        raise TransportError(f"{url.scheme}:// needs a package that is not installed: {hint}") from error
    except ValueError as error:
        raise InvalidReferenceError(f"fsspec knows no {url.scheme}://") from error
    with reporting("open", url):
        settings = {**_from_url(factory, url), **_own_settings(url.scheme, options)}
        made = factory(**settings, skip_instance_cache=True)
        if url.scheme == "sftp":
            made.ftp.get_channel().settimeout(SILENT_SECONDS)
        return made


def _sftp_factory() -> Any:
    """fsspec's own, whatever else offers ``sftp://``: others do not check the keys of hosts as we want it."""
    from fsspec.implementations.sftp import SFTPFileSystem

    return SFTPFileSystem


def _from_url(factory: Any, url: Url) -> dict[str, Any]:
    return {} if url.scheme == "s3" else dict(factory._get_kwargs_from_urls(f"{url.scheme}://{url.host}/"))


def _own_settings(scheme: str, options: Mapping[str, str]) -> dict[str, Any]:
    from fsspec.config import conf

    configured = conf.get(scheme, {})
    if scheme == "s3":
        return _s3_settings(options, configured)
    return _sftp_settings(options, configured) if scheme == "sftp" else {}


def _s3_settings(options: Mapping[str, str], configured: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if "config_kwargs" not in configured:
        settings["config_kwargs"] = {"connect_timeout": CONNECT_SECONDS, "read_timeout": SILENT_SECONDS}
    if endpoint := options.get("endpoint-url"):
        settings["endpoint_url"] = endpoint
    if profile := options.get("profile"):
        settings["profile"] = profile
    if options.get("anonymous") == "true":
        settings["anon"] = True
    return settings


def _sftp_settings(options: Mapping[str, str], configured: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        name: CONNECT_SECONDS for name in ("timeout", "banner_timeout", "auth_timeout") if name not in configured
    }
    if "known-hosts" in options or "host_key_policy" not in configured:
        from .known_hosts import KnownHosts

        settings["host_key_policy"] = KnownHosts(_known_hosts_files(options))
    return settings


def _known_hosts_files(options: Mapping[str, str]) -> list[str]:
    if named := options.get("known-hosts"):
        return [named]
    usual = (os.path.join(home_folder(), ".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts")
    return [path for path in usual if os.path.exists(path)]
