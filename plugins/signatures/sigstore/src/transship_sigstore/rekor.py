"""Uploading signatures to a Rekor log."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

from transship.errors import SignatureError
from transship.plugin.cancellation import Cancellation
from transship_sigstore.log_entry import API_VERSION, KIND, EntryTimestamp, LoggedSignature
from transship_sigstore.pem import read_pem
from transship_sigstore.service import Answer, UnreachableError, ask, base_url

_RETRIES = 3
_FIRST_PAUSE = 1.0
_PASSING = (429, 500, 502, 503, 504)
_CREATED = 201
_CONFLICT = 409
_UUID = re.compile(r"[0-9a-fA-F]{16,128}")


class RekorLog:
    """The log at ``url``."""

    def __init__(self, url: str, cancellation: Cancellation) -> None:
        # What goes there is public, and what comes back is signed: http is as good.
        self._entries = f"{base_url(url, 'rekorURL', secret=False)}/api/v1/log/entries"
        self._cancellation = cancellation

    def upload(self, key_or_certificate: bytes, signature: bytes, payload: bytes) -> bytes:
        """The log's promise that it has this signature, as it stands in an annotation.

        ``key_or_certificate`` is in PEM. Raises ``SignatureError``.
        """
        entry = _entry(key_or_certificate, signature, payload)
        try:
            answer = self._created(entry)
            promise = _promise(answer)
            der = read_pem(key_or_certificate, "key")[0].data
            LoggedSignature.parse(promise.body).require(der, signature, payload)
        except SignatureError as error:
            raise SignatureError(f"Error uploading a log entry: {error}") from None
        return promise.to_bytes()

    def _created(self, entry: Any) -> Answer:
        answer = self._ask("POST", self._entries, entry)
        if answer.status == _CREATED:
            return answer
        if answer.status != _CONFLICT:
            raise answer.failure()
        uuid = urlsplit(answer.headers.get("location", "")).path.rpartition("/")[2]
        if not _UUID.fullmatch(uuid):
            raise answer.failure()
        answer = self._ask("GET", f"{self._entries}/{uuid}", None)
        if answer.status != 200:
            raise answer.failure()
        return answer

    def _ask(self, method: str, url: str, entry: Any) -> Answer:
        for attempt in range(_RETRIES):
            try:
                answer = self._ask_once(method, url, entry)
            except UnreachableError:
                pass
            else:
                if answer.status not in _PASSING:
                    return answer
            self._cancellation.wait(_FIRST_PAUSE * 2**attempt)
        return self._ask_once(method, url, entry)

    def _ask_once(self, method: str, url: str, entry: Any) -> Answer:
        return ask(method, url, headers={"Accept": "application/json"}, json=entry, cancellation=self._cancellation)


def _entry(key_or_certificate: bytes, signature: bytes, payload: bytes) -> Any:
    return {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
            "signature": {
                "content": base64.b64encode(signature).decode("ascii"),
                "publicKey": {"content": base64.b64encode(key_or_certificate).decode("ascii")},
            },
        },
    }


def _promise(answer: Answer) -> EntryTimestamp:
    entries = list(answer.json().values())
    if len(entries) != 1 or not isinstance(entries[0], dict):
        raise SignatureError(f"expected 1 Rekor entry, got {len(entries)}")
    entry = entries[0]
    verification = entry.get("verification")
    if not isinstance(verification, dict) or "signedEntryTimestamp" not in verification:
        raise SignatureError("invalid Rekor entry (missing data): no signed entry timestamp")
    names = ("body", "integratedTime", "logIndex", "logID")
    return EntryTimestamp.of_members(
        {name: entry[name] for name in names if name in entry}, verification["signedEntryTimestamp"]
    )
