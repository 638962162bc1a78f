"""Start-up: a policy with ``sigstoreSigned`` costs nothing until an image is judged, and a key needs no network."""

from __future__ import annotations

import subprocess
import sys

import pytest

_MECHANISM = "from transship_sigstore.mechanism import SigstoreSignatures; mechanism = SigstoreSignatures(); "


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (
            _MECHANISM + "mechanism.parse_requirement('sigstoreSigned', {'keyPath': 'x'})",
            ["cryptography", "nacl", "httpx", "yaml", "rfc8785", "ssl"],
        ),
        ("import transship_sigstore.commands", ["cryptography", "nacl", "httpx", "yaml", "ssl"]),
        ("import transship_sigstore.verification", ["nacl", "httpx", "yaml", "ssl"]),
        ("import transship_sigstore.signer", ["httpx", "yaml", "ssl", "http.server", "webbrowser"]),
    ],
)
def test_heavy_modules_are_imported_late(code, unwanted):
    program = f"import sys; {code}; print([name for name in {unwanted} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
