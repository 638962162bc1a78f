"""Which SSH servers are believed: fsspec itself would accept any host key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paramiko

from transship.errors import TransportError


class KnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko has no types
    """Accepts the keys in these files of OpenSSH's format, and no others."""

    def __init__(self, files: Sequence[str]) -> None:
        self._keys = paramiko.HostKeys()
        for path in files:
            try:
                self._keys.load(path)
            except (OSError, UnicodeDecodeError, paramiko.SSHException) as error:
                raise TransportError(f"read {path}: not a file of known hosts: {error}") from error
        self._files = " and ".join(files) or "~/.ssh/known_hosts"

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Raise ``TransportError`` unless the key is known; ``hostname`` is ``[host]:port`` for unusual ports."""
        if self._keys.check(hostname, key):
            return
        known = self._keys.lookup(hostname)
        reason = "has another host key than" if known else "is not in"
        raise TransportError(f"the SSH server {hostname} {reason} {self._files}")
