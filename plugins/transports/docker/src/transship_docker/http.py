"""httpx, imported once and only what is needed of it."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpcore
    import httpx
    from httpcore._backends.sync import SyncStream
else:
    # httpx brings a command line that imports rich and pygments where they are installed: half of its start-up time.
    _hides_command_line = "httpx._main" not in sys.modules
    if _hides_command_line:
        sys.modules["httpx._main"] = None
    try:
        import httpcore
        import httpx
        from httpcore._backends.sync import SyncStream  # which has no public name
    finally:
        if _hides_command_line:
            sys.modules.pop("httpx._main", None)

# Its debug lines show headers as they come, signed addresses among them.
logging.getLogger("httpcore").setLevel(logging.INFO)

__all__ = ["SyncStream", "httpcore", "httpx"]
