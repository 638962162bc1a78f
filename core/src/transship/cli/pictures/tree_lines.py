"""An image as a tree of lines."""

from __future__ import annotations

from collections.abc import Sequence

from transship.anatomy.parts import LayerPart, Part
from transship.cli.pictures.drawing import Twig
from transship.cli.pictures.wording import (
    SHOWN,
    contents_text,
    counted,
    full_title,
    layer_text,
    one_line,
    shared_layers,
    short,
    signature_text,
    title,
)
from transship.cli.sizes import size_text
from transship.image.digest import Digest


def tree_twig(image: str, part: Part) -> Twig:
    """The tree of what ``image`` names."""
    twig = _twig(part, (), set())
    return Twig(one_line(image), [_full_line(part), *twig.notes], twig.twigs, twig.style)


def _full_line(part: Part) -> str:
    return f"{full_title(part)}: {contents_text(part)}"


def _twig(part: Part, siblings: Sequence[Part], shared: set[Digest]) -> Twig:
    """``siblings`` are in the same index, and ``shared`` the layers that several of them have."""
    twig = Twig(f"{title(part, siblings)}: {contents_text(part)}", [str(part.digest)], style="strong")
    if part.problem:
        twig.add(one_line(part.problem), "bad")
    _hang_layers(twig, part.layers, shared)
    in_common = shared_layers(part)
    twig.twigs += [_twig(member, part.members, in_common) for member in part.members]
    if part.members_left_out:
        twig.add(f"{part.members_left_out:,} more were not looked at", "quiet")
    for signature in part.signatures[:SHOWN]:
        twig.add(signature_text(signature))
    if len(part.signatures) > SHOWN:
        twig.add(f"{counted(len(part.signatures) - SHOWN, 'more signature')}", "quiet")
    _hang_referrers(twig, part)
    return twig


def _hang_layers(twig: Twig, layers: Sequence[LayerPart], shared: set[Digest]) -> None:
    shown = layers[:SHOWN]
    width = max((len(size_text(layer.size)) for layer in shown), default=0)
    for layer in shown:
        mark = f"  {'shared' if layer.digest in shared else '':6}" if shared else ""
        twig.add(f"{size_text(layer.size):>{width}}  {short(layer.digest)}{mark}  {layer_text(layer)}".rstrip())
    if len(layers) > SHOWN:
        twig.add(counted(len(layers) - SHOWN, "more layer"), "quiet")


def _hang_referrers(twig: Twig, part: Part) -> None:
    if part.referrers_problem:
        twig.add(f"what refers to it is not known: {one_line(part.referrers_problem)}", "bad")
    for tag, referrer in part.referrers:
        found = _twig(referrer, (), set())
        found.line = f"refers to it: {_full_line(referrer)}{f' (by its tag {one_line(tag)})' if tag else ''}"
        twig.twigs.append(found)
    if part.referrers_left_out:
        twig.add(f"{part.referrers_left_out:,} more refer to it and were not looked at", "quiet")
