"""The decisions of a copy, as tables."""

from __future__ import annotations

import pytest

from transship.copy.plan import (
    LayerAction,
    LayerTask,
    TypePlan,
    foreseen_compression,
    plan_index_type,
    plan_layer,
    plan_manifest_type,
    recipe,
    takes_indexes,
)
from transship.errors import UnsupportedError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import (
    DOCKER_LAYER_GZIP,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from transship.plugin.compression import Compression
from transship.plugin.transport import LayerCompression

KEEP, COMPRESS, DECOMPRESS = LayerCompression.KEEP, LayerCompression.COMPRESS, LayerCompression.DECOMPRESS


@pytest.mark.parametrize(
    ("source", "accepted", "expected"),
    [
        (OCI_MANIFEST, None, OCI_MANIFEST),
        (DOCKER_MANIFEST, None, DOCKER_MANIFEST),
        (DOCKER_SCHEMA1_SIGNED, None, DOCKER_SCHEMA1_SIGNED),
        (DOCKER_SCHEMA1, None, DOCKER_SCHEMA1),
        (OCI_MANIFEST, (OCI_MANIFEST, OCI_INDEX), OCI_MANIFEST),
        (DOCKER_MANIFEST, (OCI_MANIFEST, OCI_INDEX), OCI_MANIFEST),
        (DOCKER_SCHEMA1_SIGNED, (OCI_MANIFEST,), OCI_MANIFEST),
        (OCI_MANIFEST, (DOCKER_MANIFEST,), DOCKER_MANIFEST),
        (OCI_MANIFEST, (DOCKER_SCHEMA1_SIGNED, DOCKER_MANIFEST), DOCKER_MANIFEST),
    ],
)
def test_type_of_the_source_is_kept_where_it_is_taken(source, accepted, expected):
    assert plan_manifest_type(source, accepted).preferred == expected


@pytest.mark.parametrize("source", [OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED])
@pytest.mark.parametrize("forced", [OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED])
def test_forced_type_is_the_only_one(source, forced):
    assert plan_manifest_type(source, None, forced=forced) == TypePlan(forced)


@pytest.mark.parametrize("source", [OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED])
def test_locked_manifest_keeps_its_type_whatever_is_forced(source):
    assert plan_manifest_type(source, (OCI_MANIFEST,), forced=DOCKER_MANIFEST, locked=True) == TypePlan(source)


def test_other_types_are_tried_in_turn_without_repetition():
    plan = plan_manifest_type(OCI_MANIFEST, None)
    assert DOCKER_MANIFEST in plan.fallbacks
    assert OCI_MANIFEST not in plan.fallbacks
    assert len(set(plan.fallbacks)) == len(plan.fallbacks)


@pytest.mark.parametrize("source", [OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED])
def test_zstd_makes_an_oci_image(source):
    assert plan_manifest_type(source, None, compression="zstd") == TypePlan(OCI_MANIFEST)


@pytest.mark.parametrize(
    ("accepted", "forced"), [(None, DOCKER_MANIFEST), (None, DOCKER_SCHEMA1_SIGNED), ((DOCKER_MANIFEST,), "")]
)
def test_zstd_where_nothing_has_a_word_for_it_is_refused(accepted, forced):
    with pytest.raises(UnsupportedError, match="compression using zstd required"):
        plan_manifest_type(OCI_MANIFEST, accepted, forced=forced, compression="zstd")


def test_gzip_goes_with_every_type():
    assert plan_manifest_type(DOCKER_MANIFEST, (DOCKER_MANIFEST,), compression="gzip").preferred == DOCKER_MANIFEST


@pytest.mark.parametrize(
    ("source", "accepted", "forced", "expected"),
    [
        (OCI_INDEX, None, "", OCI_INDEX),
        (DOCKER_LIST, None, "", DOCKER_LIST),
        (DOCKER_LIST, (OCI_MANIFEST, OCI_INDEX), "", OCI_INDEX),
        (OCI_INDEX, (DOCKER_LIST,), "", DOCKER_LIST),
        (DOCKER_LIST, None, OCI_MANIFEST, OCI_INDEX),
        (OCI_INDEX, None, DOCKER_MANIFEST, DOCKER_LIST),
        (OCI_INDEX, None, DOCKER_SCHEMA1_SIGNED, DOCKER_LIST),
    ],
)
def test_type_of_an_index_follows_the_same_rules(source, accepted, forced, expected):
    assert plan_index_type(source, accepted, forced=forced).preferred == expected


@pytest.mark.parametrize(
    ("accepted", "expected"), [(None, True), ((OCI_INDEX,), True), ((OCI_MANIFEST, DOCKER_LIST), True), ((), False)]
)
def test_destination_says_whether_it_takes_indexes(accepted, expected):
    assert takes_indexes(accepted) is expected
    assert not takes_indexes((OCI_MANIFEST, DOCKER_MANIFEST))


@pytest.mark.parametrize(
    ("wish", "found", "requested", "expected"),
    [
        (COMPRESS, None, "", (LayerAction.COMPRESS, "gzip")),
        (COMPRESS, None, "zstd", (LayerAction.COMPRESS, "zstd")),
        (COMPRESS, "gzip", "", (LayerAction.PRESERVE, "gzip")),
        (COMPRESS, "bzip2", "", (LayerAction.PRESERVE, "bzip2")),
        (COMPRESS, "gzip", "gzip", (LayerAction.PRESERVE, "gzip")),
        (COMPRESS, "gzip", "zstd", (LayerAction.RECOMPRESS, "zstd")),
        (COMPRESS, "zstd", "gzip", (LayerAction.RECOMPRESS, "gzip")),
        (DECOMPRESS, "gzip", "", (LayerAction.DECOMPRESS, None)),
        (DECOMPRESS, "zstd", "zstd", (LayerAction.DECOMPRESS, None)),
        (DECOMPRESS, None, "gzip", (LayerAction.PRESERVE, None)),
        (KEEP, None, "zstd", (LayerAction.PRESERVE, None)),
        (KEEP, "gzip", "zstd", (LayerAction.PRESERVE, "gzip")),
    ],
)
def test_layer_is_changed_only_as_the_destination_wants(wish, found, requested, expected):
    assert plan_layer(wish, found, requested, may_change=True) == expected
    assert plan_layer(wish, found, requested, may_change=False) == (LayerAction.PRESERVE, found)


PLAIN, PACKED = digest_of(b"plain"), digest_of(b"packed")


@pytest.mark.parametrize(
    ("wish", "digest", "diff_id", "media_type", "requested", "expected"),
    [
        (COMPRESS, PLAIN, PLAIN, OCI_LAYER, "", "gzip"),
        (COMPRESS, PLAIN, PLAIN, OCI_LAYER, "zstd", "zstd"),
        (COMPRESS, PLAIN, PLAIN, OCI_LAYER_GZIP, "gzip", "gzip"),
        (COMPRESS, PACKED, PLAIN, OCI_LAYER_GZIP, "zstd", "zstd"),
        (COMPRESS, PACKED, PLAIN, DOCKER_LAYER_GZIP, "zstd", "zstd"),
        (COMPRESS, PACKED, PLAIN, OCI_LAYER_ZSTD, "gzip", "gzip"),
        (COMPRESS, PACKED, PLAIN, OCI_LAYER_GZIP, "", ""),
        (COMPRESS, PACKED, PLAIN, OCI_LAYER_GZIP, "gzip", ""),
        (COMPRESS, PACKED, PLAIN, DOCKER_LAYER_GZIP, "gzip", ""),
        (COMPRESS, PACKED, PLAIN, OCI_LAYER_ZSTD, "zstd", ""),
        (COMPRESS, PACKED, None, OCI_LAYER_GZIP, "zstd", ""),
        (KEEP, PLAIN, PLAIN, OCI_LAYER, "zstd", ""),
        (DECOMPRESS, PLAIN, PLAIN, OCI_LAYER, "zstd", ""),
        (DECOMPRESS, PACKED, PLAIN, OCI_LAYER_GZIP, "zstd", ""),
    ],
)
def test_compression_of_a_layer_is_foreseen_where_its_bytes_cannot_surprise(
    wish, digest, diff_id, media_type, requested, expected
):
    task = LayerTask(Descriptor(media_type, digest, 5), diff_id, False, (True,))
    assert foreseen_compression(wish, task, requested, may_change=True) == expected
    assert foreseen_compression(wish, task, requested, may_change=False) == ""


def test_recipes_differ_in_all_that_matters():
    class Packing(Compression):
        def __init__(self, name, **described):
            self.name, self._described = name, described

        def describe(self):
            return self._described

    made = [
        (Packing("a"), None),
        (Packing("a"), 1),
        (Packing("b"), None),
        (Packing("a", library="1"), None),
        (Packing("a", library="2"), None),
    ]
    assert len({recipe(*each) for each in made}) == len(made)
    assert recipe(Packing("a", x="1", y="2"), 3) == recipe(Packing("a", y="2", x="1"), 3)
