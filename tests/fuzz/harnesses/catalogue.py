"""Every target there is."""

from __future__ import annotations

from harnesses import (
    archives,
    challenges,
    configuration,
    folders,
    json_texts,
    manifests,
    pictures,
    policies,
    references,
    signatures,
    sync_documents,
    templates,
)
from harnesses.target import Target

_FAMILIES = (
    archives,
    challenges,
    configuration,
    folders,
    json_texts,
    manifests,
    pictures,
    policies,
    references,
    signatures,
    sync_documents,
    templates,
)

TARGETS: dict[str, Target] = {target.name: target for family in _FAMILIES for target in family.TARGETS}
assert len(TARGETS) == sum(len(family.TARGETS) for family in _FAMILIES)
