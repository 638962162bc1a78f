"""Where a policy is looked for, and a first one for those who have none."""

from __future__ import annotations

import os

from transship.discovery import PluginManager
from transship.errors import PolicyError, TransportError
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.files import home_folder, read_settings
from transship.policy.document import Policy, parse_policy


def default_paths() -> tuple[str, str]:
    """The user's policy file and the system's; the first that exists is used alone."""
    return os.path.join(home_folder(), ".config/containers/policy.json"), "/etc/containers/policy.json"


def load_policy(path: str | None = None, manager: PluginManager | None = None) -> Policy:
    """The policy in ``path``, or if that is None or empty in the first default place that has one.

    ``manager`` knows the plugins for requirements that the core does not check.

    Raises ``PolicyError`` if there is none, or if it is unreadable or wrong; that never means "accept".
    """
    found = path or next((place for place in default_paths() if _is_there(place)), None)
    if found is None:
        places = ", ".join(f'"{place}"' for place in default_paths())
        raise PolicyError(
            f"no policy.json file found at any of the following: {places}; name one with --policy, accept any "
            "image with --insecure-policy, or write a first one with: transship policy init"
        )
    try:
        data = read_settings(found, METADATA_LIMIT, is_named=bool(path))
    except OSError as error:
        raise PolicyError(f"open {found}: {(error.strerror or str(error)).lower()}") from error
    except TransportError as error:
        raise PolicyError(str(error)) from error
    return parse_policy(data, found, manager)


def _is_there(path: str) -> bool:
    """Whether anything has this name, readable or not; raises ``PolicyError`` where that cannot be known."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:  # the next place may have a policy that accepts more
        raise PolicyError(
            f"stat {path}: {(error.strerror or str(error)).lower()}; name a policy with --policy to use another"
        ) from error
    return True
