"""An image as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transship.anatomy.parts import Kind, LayerPart, Part
from transship.cli.pictures.page import Markup, bar, code, details, document, element, key, more, table
from transship.cli.pictures.wording import (
    SHOWN,
    contents_text,
    counted,
    full_title,
    layer_text,
    shared_layers,
    short,
    signature_text,
    step_text,
    title,
    value_text,
)
from transship.cli.sizes import size_text
from transship.image.digest import Digest

_COLOURS = 6
_LATER = "c6"
_CONFIG_HIDDEN = ("rootfs", "history")


def tree_page(image: str, part: Part) -> str:
    """The page of what ``image`` names."""
    heading = element(
        "div",
        element("h1", code(image)),
        element("p", f"{full_title(part)}: {contents_text(part)}"),
        element("p", code(str(part.digest)), class_="quiet"),
    )
    return document(image, *_inside(part, set(), "part", 2), heading=heading)


def _section(part: Part, anchor: str, name: str, shared: set[Digest], level: int, *more_facts: Markup) -> Markup:
    return element(
        "section",
        _heading(level, name),
        element("p", contents_text(part)),
        *more_facts,
        element("p", code(str(part.digest)), class_="quiet"),
        *_inside(part, shared, anchor, level + 1),
        id=anchor,
    )


def _heading(level: int, name: str) -> Markup:
    return element(f"h{min(level, 6)}", name)


def _inside(part: Part, shared: set[Digest], anchor: str, level: int) -> Iterator[Markup]:
    """What is told of a part: ``shared`` are the layers that other images of the same index have.

    ``anchor`` is where the part is in the page, and ``level`` that of headings in it.
    """
    if part.problem:
        yield element("p", part.problem, class_="bad")
    if part.kind is Kind.INDEX:
        yield _members_table(part, anchor)
    elif part.layers:
        if part.kind is Kind.IMAGE:
            yield _layers_bar(part.layers)
        yield _layers_table(part.layers, shared)
        yield more(part.layers, "layer")
    yield from _facts(part)
    in_common = shared_layers(part)
    for number, member in enumerate(part.members):
        yield _section(member, f"{anchor}-{number}", title(member, part.members), in_common, level)
    yield from _others(part, anchor, level)


def _members_table(part: Part, anchor: str) -> Markup:
    rows = [
        (
            element("a", title(member, part.members), href=f"#{anchor}-{number}"),
            size_text(member.size),
            counted(len(member.layers), "layer") if member.layers else "",
            code(short(member.digest)),
        )
        for number, member in enumerate(part.members)
    ]
    return table("What is in the index", ("Member*", "Size#", "Layers#", "Digest"), rows)


def _layers_bar(layers: Sequence[LayerPart]) -> Markup:
    pieces = [
        (layer.size, _colour(number), f"{size_text(layer.size)} {short(layer.digest)} {layer_text(layer)}")
        for number, layer in enumerate(layers[:SHOWN])
    ]
    rest = [layer.size for layer in layers[SHOWN:]]
    if rest:
        pieces.append((sum(max(size, 0) for size in rest), _LATER, counted(len(rest), "more layer")))
    return bar(f"Sizes of {counted(len(layers), 'layer')}, base first", pieces)


def _layers_table(layers: Sequence[LayerPart], shared: set[Digest]) -> Markup:
    columns = ("No.#", "Size#", "Digest", *(["Shared"] if shared else []), "Made by, or holds*")
    rows = []
    for number, layer in enumerate(layers[:SHOWN]):
        mark = ["shared" if layer.digest in shared else ""] if shared else []
        rows.append((_key(number), size_text(layer.size), code(short(layer.digest)), *mark, code(layer_text(layer))))
    return table("Layers, base first", columns, rows)


def _key(number: int) -> Markup:
    return Markup(key(_colour(number)) + element("span", str(number + 1)))


def _colour(number: int) -> str:
    return f"c{number % _COLOURS}"


def _facts(part: Part) -> Iterator[Markup]:
    """What manifest and config say, to be opened."""
    yield _opened("Annotations", list(part.annotations.items()))
    yield _opened("Annotations of the entry in the index", list((part.descriptor.annotations or {}).items()))
    yield _opened("Configuration", list(_settings(part.config_members)))
    if part.history:
        rows = [
            (str(number + 1), entry.created or "", "" if entry.empty_layer else "layer", code(step_text(entry)))
            for number, entry in enumerate(part.history[:SHOWN])
        ]
        steps = table("History, first step first", ("No.#", "Made", "Makes a", "Step*"), rows)
        yield details(
            f"History: {counted(len(part.history), 'step')}",
            steps,
            more(part.history, "step"),
        )


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if name == "config" and isinstance(value, Mapping):
            yield from ((f"config.{inner}", setting) for inner, setting in value.items())
        elif name not in _CONFIG_HIDDEN:
            yield name, value


def _opened(name: str, values: Sequence[tuple[str, Any]]) -> Markup:
    if not values:
        return Markup()
    rows = [(code(key), code(value_text(value))) for key, value in values[:SHOWN]]
    return details(name, table(name, ("Name~", "Value*"), rows), more(values, "name"))


def _others(part: Part, anchor: str, level: int) -> Iterator[Markup]:
    """What others say of the part."""
    if part.signatures:
        signatures = [element("li", signature_text(signature)) for signature in part.signatures[:SHOWN]]
        yield _heading(level, "Signatures")
        yield element("ul", *signatures)
        yield more(part.signatures, "signature")
    if part.referrers_problem:
        yield element("p", f"what refers to it is not known: {part.referrers_problem}", class_="bad")
    if part.referrers or part.referrers_left_out:
        yield _heading(level, "What refers to it")
    for number, (tag, referrer) in enumerate(part.referrers):
        by_tag = [element("p", "found by its tag ", code(tag), class_="quiet")] if tag else []
        yield _section(referrer, f"{anchor}-r{number}", full_title(referrer), set(), level + 1, *by_tag)
    if part.referrers_left_out:
        yield element("p", f"{part.referrers_left_out:,} more were not looked at", class_="quiet")
