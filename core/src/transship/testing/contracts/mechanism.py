"""What every signature mechanism must do, as a test class to subclass.

    class TestSeal(SignatureMechanismContract):
        @pytest.fixture
        def mechanism(self):
            return SealMechanism()

        @pytest.fixture
        def requirement(self, tmp_path):
            return {"type": "sealedBy", "keyPath": new_key(tmp_path / "seal.key")}

        @pytest.fixture
        def signing_request(self, requirement):
            return SigningRequest("key", requirement["keyPath"], None, lambda text: b"")

        @pytest.fixture
        def stranger_request(self, tmp_path):
            return SigningRequest("key", new_key(tmp_path / "stranger.key"), None, lambda text: b"")

The class says what each fixture is to give.
"""
# ruff: noqa: S101, S311 - assert is how tests speak, and random bytes are no secret here

from __future__ import annotations

import contextlib
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from transship.errors import PolicyError, SignatureError, TransportError, TransshipError
from transship.image.reference import DockerReference
from transship.plugin.mechanism import (
    Requirement,
    RequirementVerdict,
    SignatureMechanism,
    SigningRequest,
    UntrustedImage,
)
from transship.plugin.signature import Signature
from transship.testing.contracts.mechanism_steps import (
    IMAGE,
    NAME,
    OF_OTHER_KINDS,
    OTHER_IMAGE,
    signature_by,
    untrusted,
)
from transship.testing.contracts.mechanism_stores import StoreTests

_OTHER_NAME = "registry.example.com/team/web:1.0-rc"  # as long as the other
_UNTAGGED_NAME = "registry.example.com/team/app"
_WRONG_VALUES: tuple[Any, ...] = (None, True, 7, "text", [], {})
_TAMPERINGS = 24
_THREADS = 4


class SignatureMechanismContract(StoreTests):
    """Subclass it and give four fixtures:

    - ``mechanism``
    - ``requirement``: a requirement as a policy holds it, ``type`` included, that accepts what ``signing_request``
      signs. It says nothing of ``signedIdentity``, and names its keys by the paths of files, if the mechanism can.
    - ``signing_request``: what to sign with
    - ``stranger_request``: the same with a key that ``requirement`` does not accept

    A fifth one, ``store_text``, is for a mechanism that has a place for signatures: the text that names a new one.

    ``binds_identity`` is False for signatures that tell a digest and no name.
    """

    binds_identity: bool = True

    @pytest.fixture
    def store_text(self) -> str | None:
        """The text that names a place for signatures, None for a mechanism that has none."""
        return None

    def test_what_it_says_of_itself_is_well_formed(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", mechanism.name)
        for names in (mechanism.requirement_types, mechanism.signing_methods):
            assert isinstance(names, tuple)
            assert all(isinstance(name, str) and name for name in names)
            assert len(set(names)) == len(names)
        assert requirement["type"] in mechanism.requirement_types
        assert signing_request.method in mechanism.signing_methods

    def test_requirement_knows_its_type_and_asks_for_signatures(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any]
    ) -> None:
        parsed = _parsed(mechanism, requirement)
        assert parsed.type == requirement["type"]
        assert parsed.verifies_signatures is True

    def test_unknown_member_of_a_requirement_is_refused(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any]
    ) -> None:
        for name in ("colour", *(name.swapcase() for name in requirement if name != "type"), ""):
            with pytest.raises(PolicyError):
                _parsed(mechanism, {**requirement, name: "red"})

    def test_member_of_another_type_is_refused(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any]
    ) -> None:
        for name in set(requirement) - {"type"}:
            for value in _WRONG_VALUES:
                if type(value) is not type(requirement[name]):
                    with pytest.raises(PolicyError):
                        _parsed(mechanism, {**requirement, name: value})

    def test_requirement_without_members_is_refused(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any]
    ) -> None:
        with pytest.raises(PolicyError):
            _parsed(mechanism, {"type": requirement["type"]})

    def test_reading_a_requirement_changes_and_keeps_nothing_of_it(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        members = {name: value for name, value in requirement.items() if name != "type"}
        parsed = mechanism.parse_requirement(requirement["type"], members)
        assert {**members, "type": requirement["type"]} == requirement
        members.clear()
        assert _verdict(parsed, signature_by(mechanism, signing_request)).accepted

    def test_keys_are_read_when_an_image_is_judged(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        signature = signature_by(mechanism, signing_request)
        files = _files_in(requirement)
        with _hidden(files):
            parsed = _parsed(mechanism, requirement)
            assert not files or _refusal(parsed, signature)
        assert _verdict(_parsed(mechanism, requirement), signature).accepted

    def test_what_is_signed_is_accepted(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        signature = signature_by(mechanism, signing_request)
        parsed = _parsed(mechanism, requirement)
        verdict = _verdict(parsed, signature)
        assert verdict.accepted, verdict.reason
        assert verdict.type == requirement["type"]
        (found,) = verdict.signatures
        assert (found.format, found.accepted) == (signature.format, True)
        assert found.signer
        if self.binds_identity:
            assert found.identity == NAME
        assert _verdict(parsed, signature) == verdict

    def test_signature_can_be_stored(self, mechanism: SignatureMechanism, signing_request: SigningRequest) -> None:
        signature = signature_by(mechanism, signing_request)
        assert Signature.parse(signature.to_bytes()) == signature

    def test_signer_says_what_it_makes_and_closes_twice(
        self, mechanism: SignatureMechanism, signing_request: SigningRequest
    ) -> None:
        signer = mechanism.open_signer(signing_request)
        assert signer.description
        assert "\n" not in signer.description
        signature = signer.sign(IMAGE.manifest, IMAGE.digest, DockerReference.parse(NAME))
        assert signer.format in ("", signature.format)
        signer.close()
        signer.close()

    def test_closed_signer_has_no_key(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        signer = mechanism.open_signer(signing_request)
        signer.close()
        with contextlib.suppress(SignatureError):
            signature = signer.sign(IMAGE.manifest, IMAGE.digest, DockerReference.parse(NAME))
            assert _refusal(_parsed(mechanism, requirement), signature)

    def test_key_that_is_not_there_cannot_sign(
        self, mechanism: SignatureMechanism, signing_request: SigningRequest
    ) -> None:
        for key in ("", "no such key", f"{os.sep}no{os.sep}such{os.sep}key", "a\0b"):
            with pytest.raises(TransshipError) as caught:
                signature_by(mechanism, replace(signing_request, key=key))
            assert "\n" not in str(caught.value)

    def test_image_without_signature_is_refused(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any]
    ) -> None:
        verdict = _parsed(mechanism, requirement).evaluate(untrusted([]))
        assert verdict.accepted is False
        assert verdict.reason
        assert verdict.signatures == ()

    def test_signatures_of_other_kinds_do_not_count(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        signature = signature_by(mechanism, signing_request)
        others = [each for each in OF_OTHER_KINDS if each.format != signature.format]
        disguised = [Signature(each.format, signature.payload) for each in others]
        parsed = _parsed(mechanism, requirement)
        for each in (*others, *disguised):
            assert _refusal(parsed, each)
        verdict = _verdict(parsed, *others, *disguised)
        assert verdict.accepted is False
        assert verdict.reason
        assert verdict.signatures == (), "signatures of other kinds are passed over, without an error"
        with_own = _verdict(parsed, *others, signature)
        assert with_own.accepted
        assert len(with_own.signatures) == 1

    def test_signature_of_a_stranger_is_refused_and_believed_in_nothing(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], stranger_request: SigningRequest
    ) -> None:
        verdict = _verdict(_parsed(mechanism, requirement), signature_by(mechanism, stranger_request))
        assert verdict.accepted is False
        assert verdict.reason
        assert [(found.accepted, found.signer, found.identity) for found in verdict.signatures] in (
            [],
            [(False, "", "")],
        )

    def test_signature_for_another_image_is_refused(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        parsed = _parsed(mechanism, requirement)
        assert _refusal(parsed, signature_by(mechanism, signing_request, image=OTHER_IMAGE))
        signature = signature_by(mechanism, signing_request)
        assert _verdict(parsed, signature).accepted  # whatever it remembers of that, it holds for nothing else
        changed = IMAGE.manifest.replace(b"}", b" }", 1)
        for manifest in (b"", OTHER_IMAGE.manifest, IMAGE.manifest + b"\n", changed):
            image = replace(untrusted([signature]), manifest=manifest)
            assert _refuses(parsed, image)

    def test_signature_for_another_name_is_refused(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        if self.binds_identity:
            parsed = _parsed(mechanism, requirement)
            assert _refusal(parsed, signature_by(mechanism, signing_request, name=_OTHER_NAME))
            signature = signature_by(mechanism, signing_request)
            assert _verdict(parsed, signature).accepted
            changed = [("team/", ""), (".com", ".org"), ("-rc", "-RC"), ("-rc", ""), ("-rc", "-rc1"), ("1.0", "1_0")]
            for name in (_OTHER_NAME, *(NAME.replace(*change) for change in changed), None):
                assert _refuses(parsed, untrusted([signature], name=name)), name

    def test_name_without_tag_and_digest_is_signed_for_nobody(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        if self.binds_identity:
            with contextlib.suppress(SignatureError):
                signature = signature_by(mechanism, signing_request, name=_UNTAGGED_NAME)
                assert _refusal(_parsed(mechanism, requirement), signature)

    def test_tampering_makes_nothing_of_a_signature_that_it_was_not(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        signature = signature_by(mechanism, signing_request)
        parsed = _parsed(mechanism, requirement)
        (genuine,) = _verdict(parsed, signature).signatures
        source = random.Random(5)
        for _ in range(_TAMPERINGS):
            payload = bytearray(signature.payload)
            payload[source.randrange(len(payload))] ^= 1 << source.randrange(8)
            verdict = _decided(parsed, untrusted([Signature(signature.format, bytes(payload))]))
            # What has no meaning, such as a space, may change: but not who vouches for what.
            assert verdict is None or not verdict.accepted or verdict.signatures == (genuine,)

    def test_parts_and_repetitions_of_a_signature_are_refused(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        kind, payload = signature_by(mechanism, signing_request)
        parsed = _parsed(mechanism, requirement)
        ends = {1, 2, len(payload) // 4, len(payload) // 2, len(payload) - 2, len(payload) - 1}
        changed = [b"", *(payload[:end] for end in ends), payload[1:], payload + b"x", b"x" + payload, payload * 2]
        for each in changed:
            assert _refusal(parsed, Signature(kind, each))

    def test_names_and_digests_cannot_be_exchanged(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        """Halves of two good signatures, one for the name and one for the image, do not make a third."""
        other = signature_by(mechanism, signing_request, image=OTHER_IMAGE, name=NAME)
        renamed = signature_by(mechanism, signing_request, image=IMAGE, name=_OTHER_NAME)
        parsed = _parsed(mechanism, requirement)
        if self.binds_identity:
            assert _refusal(parsed, other, renamed)
        for first, second in ((other, renamed), (renamed, other)):
            for tenths in range(1, 10):
                cut = len(first.payload) * tenths // 10
                mixed = Signature(first.format, first.payload[:cut] + second.payload[cut:])
                assert mixed in (first, second) or _refusal(parsed, mixed)

    def test_any_bytes_are_refused_without_a_crash(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any], signing_request: SigningRequest
    ) -> None:
        kind = signature_by(mechanism, signing_request).format
        source = random.Random(3)
        parsed = _parsed(mechanism, requirement)
        rubbish = [b"\0", b"\xff" * 40, b"{}", b"[" * 5000, *(source.randbytes(size) for size in (1, 2, 31, 300, 5000))]
        for payload in rubbish:
            assert _refusal(parsed, Signature(kind, payload))

    def test_one_good_signature_among_others_is_enough(
        self,
        mechanism: SignatureMechanism,
        requirement: Mapping[str, Any],
        signing_request: SigningRequest,
        stranger_request: SigningRequest,
    ) -> None:
        good, bad = signature_by(mechanism, signing_request), signature_by(mechanism, stranger_request)
        parsed = _parsed(mechanism, requirement)
        for signatures in ([bad, good], [good, bad], [Signature(good.format, b"rubbish"), *OF_OTHER_KINDS, bad, good]):
            verdict = _verdict(parsed, *signatures)
            assert verdict.accepted, verdict.reason
            assert sum(found.accepted for found in verdict.signatures) == 1

    def test_signatures_that_cannot_be_read_accept_nothing(
        self, mechanism: SignatureMechanism, requirement: Mapping[str, Any]
    ) -> None:
        def fail() -> Sequence[Signature]:
            raise TransportError("the registry went away")

        image = replace(untrusted([]), read_signatures=fail)
        assert _refuses(_parsed(mechanism, requirement), image)

    def test_several_threads_may_judge_at_once(
        self,
        mechanism: SignatureMechanism,
        requirement: Mapping[str, Any],
        signing_request: SigningRequest,
        stranger_request: SigningRequest,
    ) -> None:
        parsed = _parsed(mechanism, requirement)
        good, bad = signature_by(mechanism, signing_request), signature_by(mechanism, stranger_request)
        images = [untrusted([good]), untrusted([bad]), untrusted([good], name=_OTHER_NAME)] * 4
        expected = [True, False, not self.binds_identity] * 4
        with ThreadPoolExecutor(_THREADS) as pool:
            verdicts = list(pool.map(parsed.evaluate, images))
        assert [verdict.accepted for verdict in verdicts] == expected


def _parsed(mechanism: SignatureMechanism, requirement: Mapping[str, Any]) -> Requirement:
    members = {name: value for name, value in requirement.items() if name != "type"}
    return mechanism.parse_requirement(requirement["type"], members)


def _verdict(requirement: Requirement, *signatures: Signature) -> RequirementVerdict:
    return requirement.evaluate(untrusted(signatures))


def _decided(requirement: Requirement, image: UntrustedImage) -> RequirementVerdict | None:
    """The verdict, None if an error refused the image; any error that is not transship's is a bug."""
    try:
        return requirement.evaluate(image)
    except TransshipError:
        return None


def _refuses(requirement: Requirement, image: UntrustedImage) -> bool:
    verdict = _decided(requirement, image)
    if verdict is None:
        return True
    assert isinstance(verdict, RequirementVerdict)
    return verdict.accepted is False and bool(verdict.reason)


def _refusal(requirement: Requirement, *signatures: Signature) -> bool:
    return _refuses(requirement, untrusted(signatures))


def _files_in(value: object) -> list[str]:
    """The files that a requirement names."""
    if isinstance(value, Mapping):
        return [path for each in value.values() for path in _files_in(each)]
    if isinstance(value, list):
        return [path for each in value for path in _files_in(each)]
    return [value] if isinstance(value, str) and "\0" not in value and os.path.isfile(value) else []


@contextlib.contextmanager
def _hidden(paths: Sequence[str]) -> Iterator[None]:
    """Meanwhile the files are not there."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            os.rename(path, f"{path}.hidden")
            stack.callback(os.rename, f"{path}.hidden", path)
        yield
