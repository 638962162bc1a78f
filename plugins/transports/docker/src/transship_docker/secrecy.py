"""Passwords and tokens, and keeping them out of what is shown, however a server repeats them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from transship.plugin.credentials import Credentials

_SHORTEST = 4
"""To hide less would garble every message, and tell by that what was hidden."""

_MARK = "…"


class Secrets:
    """What was sent somewhere in confidence. Several threads may use one at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: tuple[str, ...] = ()

    def add(self, *secrets: str) -> None:
        """Hide these from now on, too."""
        with self._lock:
            added = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
            if not added.issubset(self._forms):
                # the longest first: one may be a part of another
                self._forms = tuple(sorted(added.union(self._forms), key=len, reverse=True))

    def add_credentials(self, credentials: Credentials | None) -> None:
        """Hide what proves who somebody is."""
        if credentials is not None:
            self.add(credentials.password, credentials.identity_token, credentials.registry_token)

    def add_authorization(self, value: str) -> None:
        """Hide what the value of such a header says after its scheme."""
        self.add(value.partition(" ")[2])

    def hide(self, text: str) -> str:
        """``text`` without them."""
        for form in self._forms:
            text = text.replace(form, _MARK)
        return text

    def hide_bytes(self, data: bytes) -> bytes:
        """As ``hide``, for bytes of any kind."""
        for form in self._forms:
            data = data.replace(form.encode("utf-8", "replace"), _MARK.encode())
        return data


def _forms(secret: str) -> Iterator[str]:
    """How servers may write it."""
    yield secret
    encodable = secret.encode("utf-8", "replace").decode()
    yield quote(encodable, safe="")
    yield quote_plus(encodable)
    yield json.dumps(secret)[1:-1]
