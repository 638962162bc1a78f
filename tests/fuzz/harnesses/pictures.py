"""Pictures of images: whatever manifests and configs say, it is drawn, and cannot leave its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser

from harnesses import manifests
from harnesses.target import Target, refusing
from transship.anatomy.difference import compare
from transship.anatomy.parts import Part
from transship.anatomy.survey import survey_image
from transship.cli.pictures.diff_lines import diff_twigs
from transship.cli.pictures.diff_page import diff_page
from transship.cli.pictures.documents import difference_document, part_document
from transship.cli.pictures.drawing import Drawing, Twig
from transship.cli.pictures.tree_lines import tree_twig
from transship.cli.pictures.tree_page import tree_page
from transship.errors import BlobNotFoundError, InvalidManifestError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.manifest import parse_manifest
from transship.places import Place
from transship.plugin.blob import BytesContent, Content
from transship.plugin.context import Context
from transship.plugin.transport import RawManifest, Reference, Source, Transport
from transship.testing.images import image_with_subject, oci_image, oci_index

_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
_ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "div", "section", "h1", "h2", "h3"),
    *("h4", "h5", "h6"),
    *("p", "span", "code", "ul", "li", "a", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "svg", "rect"),
}
_SEEDS = [
    *(b"%s\0%s" % (image.manifest, image.config or b"") for image in (oci_image(), image_with_subject())),
    b"%s\0%s" % (oci_index().manifest, oci_index().instances[0].manifest),
]


class _Pieces(Source):
    """An image whose members and config are all the same piece, whatever it is."""

    def __init__(self, top: bytes, piece: bytes) -> None:
        self._top, self._piece = top, piece

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        return RawManifest(self._top if instance is None else self._piece, "")

    def get_blob(self, descriptor: Descriptor) -> Content:
        if descriptor.digest != digest_of(self._piece):
            raise BlobNotFoundError("there is only one")
        return BytesContent(self._piece)


class _Place(Transport):
    name = "pieces"

    def __init__(self, source: Source) -> None:
        self._source = source

    def open_source(self, reference: Reference, context: Context) -> Source:
        return self._source


class _Page(HTMLParser):
    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        assert tag in _ELEMENTS, tag
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "style")]


def _read(top: bytes, piece: bytes) -> Part:
    place = Place(_Place(_Pieces(top, piece)), Reference(transport="pieces", text="x"), Context())
    return survey_image(place)


def _check(data: bytes) -> None:
    """The first line of zero bytes divides a manifest or index from the config, or from all its members."""
    top, _, piece = data.partition(b"\0")
    with refusing():
        part = _read(_pointing(top, piece), piece)
        other = _read(oci_image().manifest, oci_image().config or b"")
        _check_lines([tree_twig("x", part)])
        json.dumps(part_document(part))
        _Page().feed(tree_page("x", part))
        for first, second in ((part, part), (part, other), (other, part)):
            with refusing():
                difference = compare(first, second)
                _check_lines(diff_twigs("x", "y", difference))
                json.dumps(difference_document(difference))
                _Page().feed(diff_page("x", "y", difference))


def _pointing(top: bytes, piece: bytes) -> bytes:
    """A manifest whose config is ``piece``, so that it is found; anything else as it is."""
    try:
        config = parse_manifest(top, "").config
    except InvalidManifestError:
        return top
    if config is None:
        return top
    document = json.loads(top)
    document["config"] |= {"digest": str(digest_of(piece)), "size": len(piece)}
    return json.dumps(document).encode()


def _check_lines(twigs: Iterable[Twig]) -> None:
    for twig in twigs:
        for line in Drawing(width=80).lines(twig):
            assert not _STEERING.search(line), line


TARGETS = (Target("picture", _check, _SEEDS, manifests.WORDS),)
