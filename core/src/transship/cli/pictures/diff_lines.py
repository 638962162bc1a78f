"""How two images differ, as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transship.anatomy.difference import Change, Difference, HistoryChange, LayerChange, PartDifference, Side, Sizes
from transship.anatomy.parts import LayerPart, Part
from transship.cli.pictures.drawing import Twig
from transship.cli.pictures.wording import (
    SHOWN,
    contents_text,
    counted,
    full_title,
    layer_text,
    one_line,
    short,
    step_text,
    title,
    value_text,
)
from transship.cli.sizes import size_text

SAYS_THE_SAME = "only the bytes of manifest or config differ, not what is compared of them"

_MARKS = {Side.FIRST: ("-", "bad"), Side.SECOND: ("+", "good")}


def diff_twigs(first: str, second: str, difference: Difference) -> Iterator[Twig]:
    """What is compared, each part that was, and what it comes to."""
    for mark, image, part, style in (("-", first, difference.first, "bad"), ("+", second, difference.second, "good")):
        notes = [f"  {full_title(part)}: {contents_text(part)}", f"  {part.digest}"]
        yield Twig(f"{mark} {one_line(image)}", notes, style=style)
    if difference.changes:
        yield Twig("index", twigs=list(_changes(difference.changes)), style="strong")
    siblings = [*difference.first.members, *difference.second.members]
    for each in difference.parts:
        yield _part_twig(each, siblings)
    yield Twig("the same, byte for byte" if difference.is_equal else sizes_text(difference.sizes), style="strong")


def sizes_text(sizes: Sizes) -> str:
    """Who has how many bytes."""
    return (
        f"{size_text(sizes.shared)} in both, {size_text(sizes.only_first)} only in the first, "
        f"{size_text(sizes.only_second)} only in the second"
    )


def says_the_same(difference: PartDifference) -> bool:
    """Whether two different manifests say the same all the same."""
    return not difference.changes and not difference.history and all(change.is_shared for change in difference.layers)


def pair_title(difference: PartDifference, siblings: Sequence[Part]) -> str:
    """What was compared: mostly two images for one platform. ``siblings`` are those in the same indexes."""
    titles = [title(part, siblings) for part in (difference.first, difference.second) if part is not None]
    return " and ".join(dict.fromkeys(titles))


def _part_twig(difference: PartDifference, siblings: Sequence[Part]) -> Twig:
    name = pair_title(difference, siblings)
    if difference.is_equal:
        return Twig(f"{name}: the same", [f"  {difference.part.digest}"], style="strong")
    if difference.first is None or difference.second is None:
        mark, style = _MARKS[Side.SECOND if difference.first is None else Side.FIRST]
        return Twig(f"{mark} {name}: {size_text(difference.part.size)}", [f"  {difference.part.digest}"], style=style)
    twig = Twig(f"{name}: {sizes_text(difference.sizes)}", style="strong")
    twig.twigs += _layers(difference.layers)
    twig.twigs += _changes(difference.changes)
    twig.twigs += _history(difference.history)
    if says_the_same(difference):
        twig.add(SAYS_THE_SAME, "quiet")
    return twig


def _layers(changes: Sequence[LayerChange]) -> Iterator[Twig]:
    twig = Twig("layers")
    for change in changes[:SHOWN]:
        twig.twigs.append(_layer(change))
    if len(changes) > SHOWN:
        twig.add(counted(len(changes) - SHOWN, "more layer"), "quiet")
    if changes:
        yield twig


def _layer(change: LayerChange) -> Twig:
    if change.first is None or change.second is None:
        mark, style = _MARKS[Side.SECOND if change.first is None else Side.FIRST]
        layer = change.first or change.second
        assert layer is not None  # noqa: S101 - one of the two is there
        return Twig(f"{mark} {_layer_line(layer)}", style=style)
    if change.is_shared:
        return Twig(f"= {_layer_line(change.second)}", style="quiet")
    stored = f"{short(change.first.digest)}, {size_text(change.first.size)}"
    return Twig(f"~ {_layer_line(change.second)} (the same content as {stored}, compressed otherwise)")


def _layer_line(layer: LayerPart) -> str:
    return f"{size_text(layer.size):>10}  {short(layer.digest)}  {layer_text(layer)}".rstrip()


def _changes(changes: Sequence[Change]) -> Iterator[Twig]:
    for change in changes[:SHOWN]:
        name = one_line(change.name)
        if change.first is None:
            yield Twig(f"+ {name}: {value_text(change.second)}", style="good")
        elif change.second is None:
            yield Twig(f"- {name}: {value_text(change.first)}", style="bad")
        else:
            pair = [
                Twig(f"- {value_text(change.first)}", style="bad"),
                Twig(f"+ {value_text(change.second)}", style="good"),
            ]
            yield Twig(f"~ {name}", twigs=pair)
    if len(changes) > SHOWN:
        yield Twig(counted(len(changes) - SHOWN, "more change"), style="quiet")


def _history(changes: Sequence[HistoryChange]) -> Iterator[Twig]:
    twig = Twig("history")
    for change in changes[:SHOWN]:
        mark, style = _MARKS[change.side]
        twig.add(f"{mark} {step_text(change.entry)}", style)
    if len(changes) > SHOWN:
        twig.add(counted(len(changes) - SHOWN, "more step"), "quiet")
    if changes:
        yield twig
