"""Images that another program signed: our verdict is the one of that program, and the reason says the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from transship.cli.application import Application
from transship_sigstore.key_envelope import seal, unseal
from transship_sigstore.keys import key_pem

VECTORS = Path(__file__).parent / "vectors"
VERDICTS = json.loads((VECTORS / "verdicts.json").read_text())


def _reason(text: str) -> str:
    """What the fatal line says."""
    (line,) = [line for line in text.splitlines() if "level=fatal" in line]
    return line.partition('msg="')[2].removesuffix('"').replace('\\"', '"')


def test_there_are_verdicts():
    assert len(VERDICTS) > 100
    assert {each["accepted"] for each in VERDICTS} == {True, False}


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """What a copy of an image under a policy says; all run in this process."""
    folder = tmp_path_factory.mktemp("copied")

    def copy(image: str, policy: str, capsys):
        target = folder / f"{image}-{policy}"
        capsys.readouterr()
        code = Application().run(["--policy", f"policies/{policy}.json", "copy", f"dir:{image}", f"dir:{target}"])
        return code, capsys.readouterr().err, target

    return copy


@pytest.mark.uses("dir")
@pytest.mark.parametrize("case", VERDICTS, ids=lambda case: f"{case['image']}-{case['policy']}")
def test_verdict_is_the_same(case, copied, capsys, monkeypatch):
    monkeypatch.chdir(VECTORS)
    code, err, target = copied(case["image"], case["policy"], capsys)
    assert code == case["exit"], err
    if case["accepted"]:
        assert (target / "signature-1").read_bytes() == (VECTORS / case["image"] / "signature-1").read_bytes()
    else:
        policy, separator, mistake = case["reason"].partition('.json": ')  # ours says where in the policy, too
        assert _reason(err).startswith(policy + separator)
        assert _reason(err).endswith(mistake or policy)
        assert not target.exists()


@pytest.mark.parametrize("name", ["a", "b"])
def test_private_key_of_another_program_is_read(name):
    passphrase = (VECTORS / f"{name}.passphrase").read_bytes()
    key = unseal((VECTORS / f"{name}.private").read_bytes(), passphrase)
    assert key_pem(key.public_key()) == (VECTORS / f"{name}.pub").read_bytes()
    ours, theirs = (_shape(text) for text in (seal(key, passphrase), (VECTORS / f"{name}.private").read_bytes()))
    assert ours == theirs


def _shape(pem: bytes):
    """All of an envelope but what is random in it."""
    first, *body, last = pem.decode().splitlines()
    document = json.loads(base64.b64decode("".join(body)))
    sizes = [
        len(base64.b64decode(document["kdf"].pop("salt"))),
        len(base64.b64decode(document["cipher"].pop("nonce"))),
        len(base64.b64decode(document.pop("ciphertext"))),
    ]
    return first, {len(line) for line in body[:-1]}, last, pem.endswith(b"\n"), json.dumps(document), sizes
