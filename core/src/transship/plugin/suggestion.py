"""What somebody may have meant who wrote a word that is not known."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_MOST = 3
_SHORT = 3
_LONGEST = 128
_MOST_KNOWN = 5000


def near(word: str, known: Collection[str]) -> Sequence[str]:
    """At most three of ``known`` that look like ``word``, the nearest first; few if there is too much to compare."""
    if len(word) > _LONGEST or len(known) > _MOST_KNOWN:
        return ()
    from difflib import get_close_matches

    cutoff = 0.5 if len(word) <= _SHORT else 0.6  # v2 is near v1, where one letter of two is another
    return get_close_matches(word, [each for each in known if len(each) <= _LONGEST], n=_MOST, cutoff=cutoff)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The end of a message on ``word``: a question, or ``""`` if nothing is near."""
    words = near(word, known)
    return f"; did you mean {' or '.join(words)}?" if words else ""
