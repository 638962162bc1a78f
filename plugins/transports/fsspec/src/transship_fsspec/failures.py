"""What goes wrong in a file system, as one line without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transship.errors import TransportError, TransshipError
from transship.image.quoting import quoted

_SECRET = re.compile(r"secret|passw|passphrase|token|key|credential|sas|connection_string", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


@contextmanager
def reporting(action: str, place: object) -> Iterator[None]:
    """Turn whatever the block raises into a ``TransportError``: ``ACTION PLACE: reason``.

    File systems raise what their libraries do, which is anything.
    """
    try:
        yield
    except TransshipError:
        raise
    except TimeoutError as error:
        raise TransportError(f"{action} {place}: {reason_of(error)}", retryable=True) from error
    except Exception as error:
        raise TransportError(f"{action} {place}: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """What an error says, in one line, without what the configuration keeps secret."""
    if isinstance(error, OSError) and error.strerror:
        text = str(error.strerror)
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError) and " " not in text:
        text = "no such file or folder"  # all that was said is which one
    for secret in _secrets():
        text = text.replace(secret, "***")
    return quoted(_USERINFO.sub("***@", text))[1:-1]


def _secrets() -> list[str]:
    from fsspec.config import conf

    return sorted(_secret_values(conf, secret=False), key=len, reverse=True)


def _secret_values(settings: Mapping[str, Any], *, secret: bool) -> Iterator[str]:
    for name, value in settings.items():
        is_secret = secret or _SECRET.search(str(name)) is not None
        if isinstance(value, Mapping):
            yield from _secret_values(value, secret=is_secret)
        elif is_secret and isinstance(value, str) and len(value) > 3:
            yield value
