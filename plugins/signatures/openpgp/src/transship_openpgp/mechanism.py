"""Simple signing with OpenPGP keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transship import hookimpl
from transship.plugin.mechanism import Requirement, SignatureMechanism, Signer, SigningRequest

GPG, SEQUOIA = "gpg", "sq"


class OpenPgp(SignatureMechanism):
    """Signatures that GnuPG makes and checks."""

    name = "openpgp"
    requirement_types = ("signedBy",)
    signing_methods = (GPG, SEQUOIA)

    def parse_requirement(self, kind: str, members: Mapping[str, Any]) -> Requirement:
        """See ``SignatureMechanism``."""
        from transship_openpgp.requirement import parse_signed_by

        return parse_signed_by(members)

    def open_signer(self, request: SigningRequest) -> Signer:
        """See ``SignatureMechanism``. gpg-agent asks for a passphrase that was not given."""
        if request.method == SEQUOIA:
            from transship_openpgp.sequoia import SequoiaSigner

            return SequoiaSigner(request.key, request.passphrase or b"")
        from transship_openpgp.signer import GpgSigner

        return GpgSigner(request.key, request.passphrase or b"")


@hookimpl
def transship_signature_mechanisms() -> list[SignatureMechanism]:
    """Offer OpenPGP."""
    return [OpenPgp()]
