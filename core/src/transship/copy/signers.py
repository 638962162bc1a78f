"""Who signs: the signers of plugins, made safe to share between the copies of one command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from transship.discovery import PluginManager
from transship.errors import SignatureError, UnsupportedError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.cancellation import Cancellation
from transship.plugin.mechanism import Signer, SigningRequest, tell_nobody
from transship.plugin.signature import Signature


def _cannot_ask(text: str) -> bytes:
    raise SignatureError(f"{text.rstrip(': ')}: none was given")


class SharedSigner(Signer):
    """A signer of ``mechanism`` for any thread. Close it, or leave its ``with`` block, to forget its secrets."""

    def __init__(self, mechanism: str, signer: Signer) -> None:
        self.mechanism = mechanism
        self.description = signer.description
        self.format = signer.format
        self._signer = signer
        self._lock = threading.Lock()

    def sign(self, manifest: bytes, digest: Digest, identity: DockerReference) -> Signature:
        with self._lock:
            signature = self._signer.sign(manifest, digest, identity)
        if not isinstance(signature, Signature):
            raise SignatureError(f"{self.mechanism} made no signature, but {type(signature).__name__}")
        return signature

    def close(self) -> None:
        with self._lock:
            self._signer.close()

    def __enter__(self) -> SharedSigner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_signer(
    manager: PluginManager,
    mechanism: str,
    key: str,
    *,
    method: str = "",
    passphrase: bytes | None = None,
    prompt: Callable[[str], bytes] = _cannot_ask,
    tell: Callable[[str], None] = tell_nobody,
    cancellation: Cancellation | None = None,
) -> SharedSigner:
    """Make ready to sign with ``key``, in words of the mechanism and its ``method``, ``""``: its first one.

    ``prompt`` asks for a passphrase that was not given, ``tell`` shows the user a line, ``cancellation`` ends waiting,
    also that of the signer. Raises ``SignatureError`` or ``PluginError``.
    """
    found = manager.signature_mechanism(mechanism)
    if not found.signing_methods:
        raise UnsupportedError(f"{mechanism} cannot sign")
    if method and method not in found.signing_methods:
        methods = ", ".join(found.signing_methods)
        raise UnsupportedError(f"{mechanism} has no way to sign named {method!r}; it has {methods}")
    way = method or found.signing_methods[0]
    request = SigningRequest(way, key, passphrase, prompt, tell, cancellation or Cancellation())
    return SharedSigner(mechanism, found.open_signer(request))
