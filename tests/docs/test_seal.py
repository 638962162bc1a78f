"""The example of a signature mechanism loads as an installed plugin does, and does all that a mechanism can."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from transship.api import CopyOptions, PluginManager, copy, open_signer, verify
from transship.errors import CopyError
from transship.policy.document import parse_policy

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples"
IMAGE = f"oci:{EXAMPLE / 'image'}:hello"
IDENTITY = "example.com/hello:1"


@pytest.fixture
def manager(seal):
    manager = PluginManager()
    manager.register(seal)
    return manager


@pytest.fixture
def policy(manager, tmp_path):
    (tmp_path / "seal.key").write_bytes(b"open sesame")
    identity = f'{{"type": "exactReference", "dockerReference": "{IDENTITY}"}}'
    requirement = f'{{"type": "sealedBy", "keyPath": "{tmp_path}/seal.key", "signedIdentity": {identity}}}'
    return parse_policy(f'{{"default": [{requirement}]}}'.encode(), "policy.json", manager)


def test_its_entry_point_is_its_name(seal):
    entries = tomllib.loads((EXAMPLE / "transship-seal" / "pyproject.toml").read_text())["project"]["entry-points"]
    assert entries == {"transship.signatures": {seal.SealMechanism.name: "transship_seal"}}


def test_it_signs_stores_and_verifies(manager, policy, tmp_path):
    store, destination = f"seal:{tmp_path}", f"oci:{tmp_path}/layout:hello"
    with open_signer(str(tmp_path / "seal.key"), mechanism="seal", manager=manager) as signer:
        copy(
            IMAGE,
            destination,
            insecure_policy=True,
            signers=[signer],
            destination_signatures=store,
            options=CopyOptions(sign_identity=IDENTITY),
            manager=manager,
        )
    (judged,) = verify(destination, policy=policy, signatures=store, manager=manager)
    assert judged.verdict.accepted
    copy(destination, f"dir:{tmp_path}/out", policy=policy, source_signatures=store, manager=manager)
    assert (tmp_path / "out" / "signature-1").exists()


def test_without_its_seal_an_image_is_refused(manager, policy, tmp_path):
    with pytest.raises(CopyError, match="Source image rejected"):
        copy(IMAGE, f"dir:{tmp_path}/out", policy=policy, manager=manager)
