"""Every error that transship raises on purpose.

    TransshipError                    shown as one line, exit 1; anything else is a bug and shows a traceback
    ├─ PluginError                    a plugin cannot be used
    │  ├─ UnknownPluginError          no distribution offers that name (UnknownTransportError for references)
    │  ├─ DuplicatePluginError        two distributions offer that name
    │  └─ PluginLoadError             the plugin is broken, or was written for another hook version
    ├─ InvalidReferenceError          text that names no image
    ├─ InvalidDigestError             text that is no digest
    ├─ InvalidManifestError           bytes that are no manifest, index, config or other metadata
    ├─ NotFoundError                  a name that is not there (exit 2)
    ├─ BlobNotFoundError              a blob that something refers to is not there
    ├─ ContentMismatchError           digest or size differs from what was promised
    ├─ UnsupportedError               this transport, format or compression cannot do that
    │  └─ CompressionUnsupportedError that manifest type has no word for that compression
    ├─ ManifestRejectedError          the destination wants another type: the engine may try the next
    ├─ PolicyError                    the trust policy is missing, broken or asks for what is not installed
    ├─ PolicyRejectedError            the trust policy forbids this image
    ├─ SignatureError                 a signature is not valid, not for this image, or cannot be made
    ├─ TransportError                 input or output of a plugin failed
    ├─ DeadlineExceededError          --command-timeout ran out
    ├─ CancelledError                 another part of the same copy failed, or the user interrupted
    └─ CopyError                      which step of a copy failed, raised from the cause

Errors of plugins, such as ``RegistryError`` of transship-docker, derive from one of these.
"""

from __future__ import annotations

from collections.abc import Mapping


class TransshipError(Exception):
    """Base of all errors that are meant for the user: ``str()`` is one line that says what to do."""

    @property
    def details(self) -> Mapping[str, str | int]:
        """What programs may want to know, by name, such as a status; never a secret."""
        return {}


class PluginError(TransshipError):
    """A plugin cannot be used."""


class UnknownPluginError(PluginError):
    """No installed distribution offers a plugin of this ``kind`` under this ``name``."""

    def __init__(self, message: str, *, kind: str, name: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name

    @property
    def details(self) -> Mapping[str, str | int]:
        return {"kind": self.kind, "name": self.name}


class UnknownTransportError(UnknownPluginError):
    """A reference begins with a word that no installed transport has."""


class DuplicatePluginError(PluginError):
    """Two distributions offer the same name of one kind."""


class PluginLoadError(PluginError):
    """A plugin was found and cannot be loaded; ``distribution`` is who to ask."""

    def __init__(self, message: str, *, distribution: str) -> None:
        super().__init__(message)
        self.distribution = distribution

    @property
    def details(self) -> Mapping[str, str | int]:
        return {"distribution": self.distribution}


class InvalidReferenceError(TransshipError):
    """A text does not name an image."""


class InvalidDigestError(TransshipError):
    """A text is not a digest."""


class InvalidManifestError(TransshipError):
    """Bytes are not the manifest, index, config or other metadata that they should be."""


class NotFoundError(TransshipError):
    """The image that was named is not there; the command line exits with 2."""


class BlobNotFoundError(TransshipError):
    """A blob that a manifest refers to is not there."""


class ContentMismatchError(TransshipError):
    """The digest or size of bytes is not the promised one."""


class UnsupportedError(TransshipError):
    """What was asked for cannot be done by this transport, format or compression."""


class CompressionUnsupportedError(UnsupportedError):
    """A manifest type has no media type for a compression; the engine may try the next manifest type."""


class ManifestRejectedError(TransshipError):
    """A destination does not take this manifest type; the engine may try the next."""


class PolicyError(TransshipError):
    """The trust policy is missing, broken, or needs what is not installed."""


class PolicyRejectedError(TransshipError):
    """The trust policy does not allow this image."""


class SignatureError(TransshipError):
    """A signature is not valid, not for this image, or cannot be made."""


class TransportError(TransshipError):
    """Input or output of a transport failed.

    ``retryable`` says whether another attempt may succeed.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class ListingRefusedError(TransportError):
    """A place does not tell its tags, though images there can be read."""


class DeadlineExceededError(TransshipError):
    """The time that was given to the whole command ran out."""


class CancelledError(TransshipError):
    """Work was stopped because another part failed or the user interrupted."""


class CopyError(TransshipError):
    """A step of a copy failed; ``side`` is ``"source"``, ``"destination"`` or ``""``. ``__cause__`` says why."""

    def __init__(self, message: str, *, operation: str, side: str = "") -> None:
        super().__init__(message)
        self.operation = operation
        self.side = side

    @property
    def details(self) -> Mapping[str, str | int]:
        return {"operation": self.operation, "side": self.side}
