"""The mechanism ``sigstore``: the policy requirement ``sigstoreSigned``, and signing with keys or certificates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transship import hookimpl
from transship.plugin.mechanism import Requirement, SignatureMechanism, Signer, SigningRequest
from transship_sigstore.trust import SIGSTORE_SIGNED

PRIVATE_KEY = "private-key"
PARAMETERS = "parameters"


class SigstoreSignatures(SignatureMechanism):
    """Signatures in the format of cosign.

    The method ``private-key`` takes the path of an encrypted private key, ``parameters`` that of a parameter file.
    """

    name = "sigstore"
    requirement_types = (SIGSTORE_SIGNED,)
    signing_methods = (PRIVATE_KEY, PARAMETERS)

    def parse_requirement(self, kind: str, members: Mapping[str, Any]) -> Requirement:
        from transship_sigstore.requirement import parse_sigstore_signed

        return parse_sigstore_signed(members)

    def open_signer(self, request: SigningRequest) -> Signer:
        from transship_sigstore.signer import open_key_signer, open_parameters_signer

        return open_parameters_signer(request) if request.method == PARAMETERS else open_key_signer(request)


@hookimpl
def transship_signature_mechanisms() -> Iterable[SignatureMechanism]:
    """Offer ``sigstore``."""
    return [SigstoreSignatures()]
