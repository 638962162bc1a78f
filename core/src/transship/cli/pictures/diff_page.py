"""How two images differ, as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transship.anatomy.difference import Change, Difference, HistoryChange, LayerChange, PartDifference, Side, Sizes
from transship.anatomy.parts import Part
from transship.cli.pictures.diff_lines import SAYS_THE_SAME, pair_title, says_the_same
from transship.cli.pictures.page import Markup, bar, code, document, element, key, more, table
from transship.cli.pictures.wording import (
    SHOWN,
    contents_text,
    full_title,
    layer_text,
    short,
    step_text,
    value_text,
)
from transship.cli.sizes import size_text

_ONLY = {Side.FIRST: ("only in the first", "bad"), Side.SECOND: ("only in the second", "good")}


def diff_page(first: str, second: str, difference: Difference) -> str:
    """The page of the difference between what ``first`` and ``second`` name."""
    heading = element(
        "div",
        element("h1", "Two images, and how they differ"),
        _side("First", first, difference.first),
        _side("Second", second, difference.second),
    )
    state = "the same, byte for byte" if difference.is_equal else "different"
    summary = element(
        "section",
        element("h2", "In all", element("span", state, class_="badge")),
        *_sizes(difference.sizes),
        *_changes(difference.changes),
    )
    siblings = [*difference.first.members, *difference.second.members]
    parts = [_part(each, siblings) for each in difference.parts]
    return document(f"{first} and {second}", summary, *parts, heading=heading)


def _side(name: str, image: str, part: Part) -> Markup:
    digest = element("span", code(str(part.digest)), class_="quiet")
    return element("p", f"{name}: ", code(image), f", {full_title(part)}: {contents_text(part)} ", digest)


def _sizes(sizes: Sizes) -> Iterator[Markup]:
    pieces = (
        (sizes.shared, "c0", "in both"),
        (sizes.only_first, "c3", "only in the first"),
        (sizes.only_second, "c4", "only in the second"),
    )
    named = [(size, colour, f"{size_text(size)} {who}") for size, colour, who in pieces]
    yield bar("Sizes: " + ", ".join(text for _, _, text in named), named)
    keys = [element("li", key(colour), text) for _, colour, text in named]
    yield element("ul", *keys, class_="keys")


def _part(difference: PartDifference, siblings: Sequence[Part]) -> Markup:
    name = pair_title(difference, siblings)
    if difference.is_equal:
        return _small(name, "the same", "", difference.part)
    if difference.first is None or difference.second is None:
        return _small(name, *_ONLY[Side.SECOND if difference.first is None else Side.FIRST], difference.part)
    inside = [*_sizes(difference.sizes)]
    if says_the_same(difference):
        inside.append(element("p", SAYS_THE_SAME, class_="quiet"))
    if difference.layers:
        rows = list(map(_layer_row, difference.layers[:SHOWN]))
        inside += [table("Layers, base first", ("In", "Size#", "Digest", "Made by, or holds*"), rows)]
        inside += [more(difference.layers, "layer")]
    inside += [*_changes(difference.changes), *_history(difference.history)]
    return element("section", element("h2", name, element("span", "different", class_="badge")), *inside)


def _small(name: str, state: str, style: str, part: Part) -> Markup:
    badge = element("span", state, class_=f"badge {style}".rstrip())
    text = element("p", f"{contents_text(part)} ", element("span", code(str(part.digest)), class_="quiet"))
    return element("section", element("h2", name, badge), text)


def _layer_row(change: LayerChange) -> tuple[str | Markup, ...]:
    layer = change.second or change.first
    assert layer is not None  # noqa: S101 - one of the two is there
    size, digest = size_text(layer.size), code(short(layer.digest))
    if change.first is None or change.second is None:
        text, style = _ONLY[Side.SECOND if change.first is None else Side.FIRST]
        return element("span", text, class_=style), size, digest, code(layer_text(layer))
    if change.is_shared:
        return "both", size, digest, code(layer_text(layer))
    stored = f" the same content as {short(change.first.digest)}, {size_text(change.first.size)}, compressed otherwise"
    return "both, stored differently", size, digest, Markup(code(layer_text(layer)) + element("span", stored))


def _changes(changes: Sequence[Change]) -> Iterator[Markup]:
    if not changes:
        return
    rows = [
        (code(change.name), _value(change.first, "bad"), _value(change.second, "good")) for change in changes[:SHOWN]
    ]
    yield table("What manifest and config say", ("Name~", "First*", "Second*"), rows)
    yield more(changes, "change")


def _value(value: object, style: str) -> Markup:
    if value is None:
        return element("span", "says nothing", class_="quiet")
    return element("span", code(value_text(value)), class_=style)


def _history(changes: Sequence[HistoryChange]) -> Iterator[Markup]:
    if not changes:
        return
    rows = [
        (element("span", _ONLY[change.side][0], class_=_ONLY[change.side][1]), code(step_text(change.entry)))
        for change in changes[:SHOWN]
    ]
    yield table("History", ("In", "Step*"), rows)
    yield more(changes, "step")
