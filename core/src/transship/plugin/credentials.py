"""What a registry wants to see before it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Credentials(NamedTuple):
    """Who asks. ``""`` where it is not given; nothing of it ever shows in a ``repr``.

    ``identity_token`` is exchanged for access tokens, as OAuth2 does; ``registry_token`` is such an access token
    itself, used as it is.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return "Credentials(…)"


FindCredentials = Callable[[str, str], Credentials | None]
"""Asked with a registry (``host[:port]``) and a repository path, ``""`` for the registry as a whole."""
