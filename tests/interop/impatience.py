"""Preparations of a nursery: a program that is less patient with slow servers, and has imported what it needs."""

from __future__ import annotations

IMPATIENT = """
from transship_docker import backoff, downloads, manifest_uploads, network, responses, tags, uploads

def set_to(value, module, *names):
    for name in names:
        assert hasattr(module, name), name
        setattr(module, name, value)

set_to(500, tags, "_PAGES")
set_to(0.3, network, "STALL_TIMEOUT", "CONNECT_TIMEOUT")
set_to(0.3, uploads, "_FINISHING_PATIENCE", "_GIVING_UP_PATIENCE")
set_to(0.3, manifest_uploads, "_PATIENCE")
set_to(0.6, responses, "BODY_TIMEOUT")
set_to(0.01, uploads, "_FIRST_DELAY", "_LONGEST_DELAY")
set_to(0.01, downloads, "_FIRST_DELAY", "_LONGEST_DELAY")
set_to(0.01, backoff, "_LIMITED_DELAY", "_PASSING_DELAY")
set_to(0.1, backoff, "_LONGEST_DELAY")
set_to(2, uploads, "_FRUITLESS_ATTEMPTS")
set_to(2, downloads, "_FRUITLESS_ATTEMPTS")

nowhere, nothing = "docker://127.0.0.1:1/a", "dir:/dev/null"
for command in (["inspect", nowhere], ["list-tags", nowhere], ["delete", nowhere], ["copy", nowhere, nothing],
                ["copy", nothing, nowhere], ["login", "-u=a", "-p=b", "127.0.0.1:1"]):
    Application().run(["--insecure-policy", *command])
"""
