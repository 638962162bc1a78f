"""The programs that ours is compared with, where their packages install them: a name on PATH could be ours."""

from __future__ import annotations

SKOPEO = "/usr/bin/skopeo"
