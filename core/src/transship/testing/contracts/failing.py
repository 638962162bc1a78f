"""What may fail, and how: blocks that must end with certain errors, and writes that cannot be done."""
# ruff: noqa: S101 - assert is how tests speak

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from typing import TypeVar

from transship.errors import TransshipError

_Result = TypeVar("_Result")

_MOST_WRITTEN = 1 << 18


@contextlib.contextmanager
def refused(*errors: type[TransshipError]) -> Iterator[None]:
    """The block must end with one of ``errors``."""
    with failing_only_with(*errors):
        yield
        raise AssertionError(f"expected {_names(errors)}")


@contextlib.contextmanager
def failing_only_with(*errors: type[TransshipError]) -> Iterator[None]:
    """If the block ends with an error, it must be one of ``errors``."""
    try:
        yield
    except AssertionError:
        raise
    except errors:
        return
    except Exception as error:
        raise AssertionError(f"expected {_names(errors)}, got {error!r}") from error


def result_or_refusal(work: Callable[[], _Result]) -> _Result | TransshipError:
    """What ``work`` gives, or the error of transship that it ends with, which must be one line."""
    try:
        return work()
    except TransshipError as error:
        refusal = error
    except Exception as error:
        raise AssertionError(f"expected an error of transship, got {error!r}") from error
    assert "\n" not in str(refusal), "an error is one line"
    return refusal


def _names(errors: tuple[type[TransshipError], ...]) -> str:
    return " or ".join(error.__name__ for error in errors)


@contextlib.contextmanager
def limited_file_size() -> Iterator[None]:
    """Meanwhile no file of this process gets big, as if a disk was full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_WRITTEN, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
