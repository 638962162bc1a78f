"""Start-up: a command that asks no registry pays for none."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (
            "import transship_docker.transport as t; t.DockerTransport().parse_reference('//x')",
            ["httpcore", "ssl", "yaml"],
        ),
        (
            "import transship_docker.client, transship_docker.source",
            [
                "httpx",
                "anyio",
                "certifi",
                "rich",
                "pygments",
                "yaml",
                "tomllib",
                "transship_docker.tokens",
                "transship_docker.credential_files",
            ],
        ),
        (
            "import transship_docker.dialing as d, transship.plugin.cancellation as c; "
            "d.look_up('localhost', 80, 9, c.Cancellation())",
            ["encodings.idna", "httpcore"],
        ),
    ],
)
def test_heavy_modules_are_imported_late(code, unwanted):
    program = f"import sys; {code}; print([name for name in {unwanted} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
