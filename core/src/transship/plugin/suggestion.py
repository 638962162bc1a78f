"""What somebody may have meant who wrote a word that is not known."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_MOST = 3
_SHORT = 3
_LONGEST = 128
_MOST_KNOWN = 5000
_MUCH_FARTHER = 0.15


def near(word: str, known: Collection[str]) -> Sequence[str]:
    """At most three of ``known`` that look like ``word``, the nearest first, and none that are much farther than it.

    There are fewer, or none, if there is too much to compare.
    """
    if len(word) > _LONGEST or len(known) > _MOST_KNOWN:
        return ()
    from difflib import SequenceMatcher, get_close_matches

    cutoff = 0.5 if len(word) <= _SHORT else 0.6  # v2 is near v1, where one letter of two is another
    found = get_close_matches(word, [each for each in known if len(each) <= _LONGEST], n=_MOST, cutoff=cutoff)
    likeness = [SequenceMatcher(None, each, word).ratio() for each in found]
    return [each for each, ratio in zip(found, likeness, strict=True) if ratio > likeness[0] - _MUCH_FARTHER]


def did_you_mean(word: str, known: Collection[str], *, prefix: str = "") -> str:
    """The end of a message on ``word``: a question, or ``""`` if nothing is near.

    ``prefix`` stands before the word, and all that are known, and says nothing about how near they are.
    """
    words = near(word.removeprefix(prefix), [each.removeprefix(prefix) for each in known if each.startswith(prefix)])
    return f"; did you mean {' or '.join(prefix + each for each in words)}?" if words else ""
