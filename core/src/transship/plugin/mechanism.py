"""What a signature mechanism implements: the requirements of a trust policy that it checks, and the ways it signs.

A mechanism is a plugin of the group ``transship.signatures``. A policy finds it by the requirement types that it
declares, the command line by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from transship.errors import SignatureError, UnsupportedError
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.reference import DockerReference
from transship.plugin.cancellation import Cancellation
from transship.plugin.context import Context
from transship.plugin.signature import Signature
from transship.plugin.transport import Reference


@dataclass(frozen=True)
class UntrustedImage:
    """What a requirement judges: the manifest of one image, byte for byte, under the name that the user gave it.

    ``media_type`` is that of ``manifest``. Signatures are read when a requirement first asks for them.
    """

    reference: Reference
    manifest: bytes
    media_type: str
    read_signatures: Callable[[], Sequence[Signature]] = tuple

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """All that is stored beside the image; nothing in them was verified."""
        return tuple(self.read_signatures())

    def has_digest(self, digest: Digest) -> bool:
        """Whether ``digest`` is that of the manifest."""
        return manifest_digest(self.manifest, self.media_type, digest.algorithm) == digest


class SignatureVerdict(NamedTuple):
    """What a requirement makes of one signature.

    ``signer`` says who made it, in words of the mechanism (a fingerprint, an e-mail address), ``""`` if that was not
    verified; ``identity`` is the docker reference that it is for, ``""`` if that was not verified.
    """

    format: str
    accepted: bool
    reason: str = ""
    signer: str = ""
    identity: str = ""


class RequirementVerdict(NamedTuple):
    """Whether a requirement accepts an image; ``reason`` says why not. ``signatures`` are those that it looked at."""

    type: str
    accepted: bool
    reason: str = ""
    signatures: tuple[SignatureVerdict, ...] = ()


class Requirement:
    """One requirement of a policy. Instances are shared between threads.

    ``type`` is its name in the policy. ``verifies_signatures``: nothing is accepted without a verified signature.
    """

    type: str
    verifies_signatures: bool = False

    def evaluate(self, image: UntrustedImage) -> RequirementVerdict:
        """The verdict. An exception refuses the image, too."""
        raise NotImplementedError


class SignatureRequirement(Requirement):
    """A requirement that at least one signature must meet."""

    verifies_signatures = True

    def verify(self, signature: Signature, image: UntrustedImage) -> SignatureVerdict | None:
        """The verdict on one signature, None for one of another kind. ``SignatureError`` says why it is refused."""
        raise NotImplementedError

    def missing(self, others: Sequence[Signature]) -> str:
        """Why an image without any signature of this kind is refused; ``others`` are the ones that it has."""
        return "A signature was required, but no signature exists"

    def evaluate(self, image: UntrustedImage) -> RequirementVerdict:
        """Accept the image as soon as one signature is accepted."""
        verdicts: list[SignatureVerdict] = []
        for signature in image.signatures:
            try:
                verdict = self.verify(signature, image)
            except SignatureError as error:
                verdict = SignatureVerdict(signature.format, accepted=False, reason=str(error))
            if verdict is not None:
                verdicts.append(verdict)
                if verdict.accepted:
                    return RequirementVerdict(self.type, accepted=True, signatures=tuple(verdicts))
        return RequirementVerdict(
            self.type, accepted=False, reason=self._summary(verdicts, image), signatures=tuple(verdicts)
        )

    def _summary(self, verdicts: Sequence[SignatureVerdict], image: UntrustedImage) -> str:
        if not verdicts:
            return self.missing(image.signatures)
        if len(verdicts) == 1:
            return verdicts[0].reason
        return "None of the signatures were accepted, reasons: " + "; ".join(verdict.reason for verdict in verdicts)


def tell_nobody(line: str) -> None:
    """Raise ``SignatureError``: where nobody sits, nothing can be shown."""
    raise SignatureError("signing takes something that the user must be told, and there is nobody to tell")


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What to sign with: one of the mechanism's ``signing_methods``, and the key, fingerprint or file that it takes.

    ``passphrase`` is None where none was given; ``prompt`` then asks the user, with the text to show, or raises.
    ``tell`` shows the user a line, such as an address to log in at, or raises. ``cancellation`` ends all waiting, also
    that of the signer.
    """

    method: str
    key: str
    passphrase: bytes | None
    prompt: Callable[[str], bytes]
    tell: Callable[[str], None] = tell_nobody
    cancellation: Cancellation = field(default_factory=Cancellation)

    def __repr__(self) -> str:
        return f"SigningRequest({self.method!r}, {self.key!r}, …)"


class Signer:
    """Makes signatures, from one thread at a time. ``description`` is told to the user before each.

    ``format`` is that of its signatures: a destination that cannot hold them is then refused before anything is
    written; ``""``: not known.
    """

    description: str = "Signing image"
    format: str = ""

    def sign(self, manifest: bytes, digest: Digest, identity: DockerReference) -> Signature:
        """Sign the manifest, whose digest is ``digest``, as ``identity``; raise ``SignatureError``."""
        raise NotImplementedError

    def close(self) -> None:
        """Forget every secret. May be called more than once."""


class SignatureStore:
    """A place for signatures beside those that transports have. ``digest`` is that of the manifest or index."""

    def read(self, reference: Reference, digest: Digest) -> Sequence[Signature]:
        """The signatures that are kept for an image."""
        raise NotImplementedError

    def write(self, reference: Reference, digest: Digest, signatures: Sequence[Signature]) -> None:
        """Keep these, and no others, for an image; called only with at least one."""
        raise NotImplementedError


class SignatureMechanism:
    """A kind of signature. ``name`` is the entry point's name.

    ``requirement_types`` are the types in a policy that it checks. ``signing_methods`` are the ways it signs, the
    first one is the default.
    """

    name: str
    requirement_types: tuple[str, ...] = ()
    signing_methods: tuple[str, ...] = ()

    def parse_requirement(self, kind: str, members: Mapping[str, Any]) -> Requirement:
        """Read a requirement of the type ``kind``; ``members`` are all others of its JSON object.

        Strict: raise ``PolicyError`` for what is missing, unknown or wrong, and touch no file: what it names is read
        when an image is judged.
        """
        raise UnsupportedError(f"{self.name} checks no policy requirement")

    def open_signer(self, request: SigningRequest) -> Signer:
        """Make ready to sign; raise ``SignatureError`` if the key cannot be used."""
        raise UnsupportedError(f"{self.name} cannot sign")

    def open_store(self, text: str, context: Context) -> SignatureStore:
        """The place for signatures that ``text`` names."""
        raise UnsupportedError(f"{self.name} stores no signatures")
