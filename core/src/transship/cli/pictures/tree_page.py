"""An image as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transship.anatomy.parts import Kind, LayerPart, Part
from transship.cli.pictures.page import Markup, bar, code, details, document, element, more, table
from transship.cli.pictures.wording import (
    SHOWN,
    contents_text,
    counted,
    full_title,
    layer_text,
    shared_layers,
    short,
    signature_text,
    size_text,
    step_text,
    title,
)
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
    return document(image, *_inside(part, set(), "part"), heading=heading)


def _section(part: Part, anchor: str, name: str, shared: set[Digest], *more_facts: Markup) -> Markup:
    return element(
        "section",
        element("h2", name),
        element("p", contents_text(part)),
        *more_facts,
        element("p", code(str(part.digest)), class_="quiet"),
        *_inside(part, shared, anchor),
        id=anchor,
    )


def _inside(part: Part, shared: set[Digest], anchor: str) -> Iterator[Markup]:
    """``shared`` are the layers that other images of the same index have; ``anchor`` is where the part is."""
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
        yield _section(member, f"{anchor}-{number}", title(member, part.members), in_common)
    yield from _others(part, anchor)


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
    square = Markup(
        f'<svg class="key" aria-hidden="true"><rect class="{_colour(number)}" width="100%" height="100%" /></svg>'
    )
    return Markup(square + element("span", str(number + 1)))


def _colour(number: int) -> str:
    return f"c{number % _COLOURS}"


def _facts(part: Part) -> Iterator[Markup]:
    """What manifest and config say, to be opened."""
    yield _opened("Annotations", part.annotations)
    yield _opened("Annotations of the entry in the index", part.descriptor.annotations or {})
    settings = {name: value for name, value in part.config_members.items() if name not in _CONFIG_HIDDEN}
    inner = settings.pop("config", None)
    yield _opened("Configuration", {**settings, **(inner if isinstance(inner, Mapping) else {})})
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


def _opened(name: str, values: Mapping[str, Any]) -> Markup:
    if not values:
        return Markup()
    shown = list(values.items())[:SHOWN]
    rows = [(code(key), code(value if isinstance(value, str) else _json(value))) for key, value in shown]
    return details(name, table(name, ("Name", "Value*"), rows), more(list(values), "name"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _others(part: Part, anchor: str) -> Iterator[Markup]:
    """What others say of the part."""
    if part.signatures:
        signatures = [element("li", signature_text(signature)) for signature in part.signatures[:SHOWN]]
        yield element("h3", "Signatures")
        yield element("ul", *signatures)
        yield more(part.signatures, "signature")
    if part.referrers_problem:
        yield element("p", f"what refers to it is not known: {part.referrers_problem}", class_="bad")
    if part.referrers or part.referrers_left_out:
        yield element("h3", "What refers to it")
    for number, (tag, referrer) in enumerate(part.referrers):
        by_tag = [element("p", "found by its tag ", code(tag), class_="quiet")] if tag else []
        yield _section(referrer, f"{anchor}-r{number}", full_title(referrer), set(), *by_tag)
    if part.referrers_left_out:
        yield element("p", f"{part.referrers_left_out:,} more were not looked at", class_="quiet")
