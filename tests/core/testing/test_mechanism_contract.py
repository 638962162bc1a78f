"""The contract of signature mechanisms notices what is wrong with one: the example, with one fault at a time."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os

import pytest

from transship.errors import PolicyError, SignatureError, TransshipError
from transship.plugin.files import read_regular, reporting, write_file
from transship.plugin.mechanism import RequirementVerdict, SignatureVerdict, SigningRequest
from transship.plugin.signature import Signature
from transship.plugin.signed_payload import parse_payload
from transship.testing import SignatureMechanismContract

FORMAT = "seal"


def read_key(path):
    with open(path, "rb") as file:
        return file.read()


def opened(payload, key_path):
    """The payload of a seal that is whole."""
    seal, text = payload[:32], payload[32:]
    if not hmac.compare_digest(seal, hmac.digest(read_key(key_path), text, "sha256")):
        raise SignatureError("the seal is broken")
    return text


def accepted(claim, key_path):
    return SignatureVerdict(FORMAT, accepted=True, signer=key_path, identity=claim.reference)


@pytest.fixture
def faulty(seal):
    """Makes the mechanism of the example with other members in its requirement, its signer or itself."""

    def make(requirement=None, signer=None, **members):
        class FaultyRequirement(seal.SealedBy):
            pass

        class FaultySigner(seal.SealSigner):
            pass

        for name, value in (requirement or {}).items():
            setattr(FaultyRequirement, name, value)
        for name, value in (signer or {}).items():
            setattr(FaultySigner, name, value)

        class Faulty(seal.SealMechanism):
            def parse_requirement(self, kind, given):
                parsed = super().parse_requirement(kind, given)
                return FaultyRequirement(parsed._key_path, parsed._identity)

            def open_signer(self, request):
                return FaultySigner(seal.read_key(request.key))

        for name, value in members.items():
            setattr(Faulty, name, value)
        return Faulty()

    return make


def accept_anything(self, image):
    return RequirementVerdict(self.type, accepted=True)


def accept_any_signature(self, signature, image):
    return SignatureVerdict(signature.format, accepted=True, signer="someone", identity=str(image.reference.named))


def trust_the_payload_without_its_seal(self, signature, image):
    claim = parse_payload(signature.payload[32:], FORMAT)
    claim.check(image, self._identity)
    return accepted(claim, self._key_path)


def believe_before_the_seal_is_checked(self, signature, image):
    claim = parse_payload(signature.payload[32:], FORMAT)
    try:
        opened(signature.payload, self._key_path)
    except SignatureError as error:
        return SignatureVerdict(FORMAT, accepted=False, reason=str(error), identity=claim.reference)
    claim.check(image, self._identity)
    return accepted(claim, self._key_path)


def ignore_the_image(self, signature, image):
    return accepted(parse_payload(opened(signature.payload, self._key_path), FORMAT), self._key_path)


def ignore_the_name(self, signature, image):
    claim = parse_payload(opened(signature.payload, self._key_path), FORMAT)
    if not image.has_digest(claim.digest):
        raise SignatureError("another image")
    return accepted(claim, self._key_path)


def ignore_the_digest(self, signature, image):
    claim = parse_payload(opened(signature.payload, self._key_path), FORMAT)
    if not self._identity.accepts(image.reference.named, claim.reference):
        raise SignatureError("another name")
    return accepted(claim, self._key_path)


def ignore_the_format(self, signature, image):
    claim = parse_payload(opened(signature.payload, self._key_path), FORMAT)
    claim.check(image, self._identity)
    return accepted(claim, self._key_path)


def crash(self, signature, image):
    if len(signature.payload) < 32 or not signature.payload[32:].startswith(b"{"):
        raise IndexError
    return trust_the_payload_without_its_seal(self, signature, image)


def tell_nobody_who(self, signature, image):
    opened(signature.payload, self._key_path)
    return SignatureVerdict(FORMAT, accepted=True)


def complain_of_other_kinds(self, signature, image):
    if signature.format != FORMAT:
        raise SignatureError(f"{signature.format} is no seal")
    return trust_a_whole_seal(self, signature, image)


def look_up_other_kinds(self, signature, image):
    check = {FORMAT: trust_a_whole_seal}[signature.format]
    return check(self, signature, image)


def count_other_kinds(self, signature, image):
    if signature.format != FORMAT:
        return SignatureVerdict(signature.format, accepted=False, reason="no seal")
    return trust_a_whole_seal(self, signature, image)


def trust_a_whole_seal(self, signature, image):
    claim = parse_payload(opened(signature.payload, self._key_path), FORMAT)
    claim.check(image, self._identity)
    return accepted(claim, self._key_path)


def remember_signatures(self, signature, image):
    """A good signature is looked at once."""
    known = self.__dict__.setdefault("known", {})
    if signature not in known:
        verdict = type(self).__mro__[1].verify(self, signature, image)
        if verdict is not None:
            known[signature] = verdict
        return verdict
    return known[signature]


def remember_signatures_by_name(self, signature, image):
    known = self.__dict__.setdefault("known", {})
    key = (signature, str(image.reference.named))
    if key not in known:
        known[key] = type(self).__mro__[1].verify(self, signature, image)
    return known[key]


def compare_names_in_small_letters(self, signature, image):
    claim = parse_payload(opened(signature.payload, self._key_path), FORMAT)
    if not image.has_digest(claim.digest) or claim.reference.lower() != str(image.reference.named).lower():
        raise SignatureError("another image")
    return accepted(claim, self._key_path)


class FirstSignatureDecides:
    def evaluate(self, image):
        try:
            verdict = self.verify(image.signatures[0], image) if image.signatures else None
        except SignatureError as error:
            return RequirementVerdict(self.type, accepted=False, reason=str(error))
        return RequirementVerdict(self.type, verdict is not None, "none" if verdict is None else "", (verdict,))


def accept_when_signatures_cannot_be_read(self, image):
    try:
        return type(self).__mro__[1].evaluate(self, image)
    except Exception:
        return RequirementVerdict(self.type, accepted=True)


REQUIREMENT_FAULTS = [
    ({"evaluate": accept_anything}, "test_image_without_signature_is_refused"),
    ({"evaluate": accept_anything}, "test_what_is_signed_is_accepted"),
    ({"verify": accept_any_signature}, "test_signatures_of_other_kinds_do_not_count"),
    ({"verify": accept_any_signature}, "test_signature_of_a_stranger_is_refused_and_believed_in_nothing"),
    ({"verify": accept_any_signature}, "test_any_bytes_are_refused_without_a_crash"),
    ({"verify": trust_the_payload_without_its_seal}, "test_signature_of_a_stranger_is_refused_and_believed_in_nothing"),
    ({"verify": trust_the_payload_without_its_seal}, "test_names_and_digests_cannot_be_exchanged"),
    ({"verify": trust_the_payload_without_its_seal}, "test_several_threads_may_judge_at_once"),
    ({"verify": believe_before_the_seal_is_checked}, "test_signature_of_a_stranger_is_refused_and_believed_in_nothing"),
    ({"verify": ignore_the_image}, "test_signature_for_another_image_is_refused"),
    ({"verify": ignore_the_image}, "test_name_without_tag_and_digest_is_signed_for_nobody"),
    ({"verify": ignore_the_name}, "test_signature_for_another_name_is_refused"),
    ({"verify": ignore_the_digest}, "test_signature_for_another_image_is_refused"),
    ({"verify": ignore_the_format}, "test_signatures_of_other_kinds_do_not_count"),
    ({"verify": complain_of_other_kinds}, "test_signatures_of_other_kinds_do_not_count"),
    ({"verify": look_up_other_kinds}, "test_signatures_of_other_kinds_do_not_count"),
    ({"verify": count_other_kinds}, "test_signatures_of_other_kinds_do_not_count"),
    ({"verify": crash}, "test_any_bytes_are_refused_without_a_crash"),
    ({"verify": remember_signatures}, "test_signature_for_another_name_is_refused"),
    ({"verify": remember_signatures}, "test_signature_for_another_image_is_refused"),
    ({"verify": remember_signatures_by_name}, "test_signature_for_another_image_is_refused"),
    ({"verify": compare_names_in_small_letters}, "test_signature_for_another_name_is_refused"),
    ({"verify": tell_nobody_who}, "test_what_is_signed_is_accepted"),
    ({"evaluate": FirstSignatureDecides.evaluate}, "test_one_good_signature_among_others_is_enough"),
    ({"evaluate": accept_when_signatures_cannot_be_read}, "test_signatures_that_cannot_be_read_accept_nothing"),
    ({"verifies_signatures": False}, "test_requirement_knows_its_type_and_asks_for_signatures"),
    ({"type": "sealed"}, "test_requirement_knows_its_type_and_asks_for_signatures"),
]


def read_up_to_the_last_brace(self, signature, image):
    end = signature.payload.rfind(b"}") + 1
    claim = parse_payload(opened(signature.payload[:end], self._key_path), FORMAT)
    claim.check(image, self._identity)
    return accepted(claim, self._key_path)


def believe_who_signed(self, signature, image):
    seal, who, text = signature.payload[:32], signature.payload[32:96], signature.payload[96:]
    claim = parse_payload(opened(seal + text, self._key_path), FORMAT)
    claim.check(image, self._identity)
    return SignatureVerdict(FORMAT, accepted=True, signer=who.decode("latin-1"), identity=claim.reference)


def sign_with_a_name(self, manifest, digest, identity):
    kind, payload = type(self).__mro__[1].sign(self, manifest, digest, identity)
    return Signature(kind, payload[:32] + b"somebody" * 8 + payload[32:])


def keep_the_key(self):
    pass


def close_once(self):
    del self._key


def sign_in_unknown_form(self, manifest, digest, identity):
    payload = type(self).__mro__[1].sign(self, manifest, digest, identity).payload
    return Signature("seal\n", payload)


def sign_as_it_likes(self, manifest, digest, identity):
    return type(self).__mro__[1].sign(self, manifest, digest, identity.__class__.parse("example.com/any:1"))


@pytest.mark.parametrize(
    ("members", "test"),
    [
        *[({"requirement": requirement}, test) for requirement, test in REQUIREMENT_FAULTS],
        (
            {"requirement": {"verify": read_up_to_the_last_brace}},
            "test_parts_and_repetitions_of_a_signature_are_refused",
        ),
        (
            {"requirement": {"verify": believe_who_signed}, "signer": {"sign": sign_with_a_name}},
            "test_tampering_makes_nothing_of_a_signature_that_it_was_not",
        ),
        ({"signer": {"close": keep_the_key}}, "test_closed_signer_has_no_key"),
        ({"signer": {"close": close_once}}, "test_signer_says_what_it_makes_and_closes_twice"),
        ({"signer": {"format": "gpg"}}, "test_signer_says_what_it_makes_and_closes_twice"),
        ({"signer": {"sign": sign_in_unknown_form}}, "test_signature_can_be_stored"),
        ({"signer": {"sign": sign_as_it_likes}}, "test_what_is_signed_is_accepted"),
        ({"name": "Seal"}, "test_what_it_says_of_itself_is_well_formed"),
        ({"requirement_types": ()}, "test_what_it_says_of_itself_is_well_formed"),
        ({"signing_methods": ("keys",)}, "test_what_it_says_of_itself_is_well_formed"),
    ],
    ids=lambda value: str(value).replace(" ", "")[:60],
)
def test_a_fault_is_noticed(members, test, faulty, check):
    with pytest.raises(
        (AssertionError, pytest.fail.Exception, SignatureError, LookupError, AttributeError, ValueError)
    ):
        check(faulty(**members), test)


@pytest.fixture
def check(run_contract, tmp_path):
    """Runs one test of the contract on a mechanism."""
    for name in ("own", "stranger"):
        (tmp_path / f"{name}.key").write_bytes(name.encode())
    (tmp_path / "seals").mkdir()

    def request(name):
        return SigningRequest("key", str(tmp_path / f"{name}.key"), None, lambda text: b"")

    def run(mechanism, test, **given):
        defaults = {
            "requirement": {"type": "sealedBy", "keyPath": str(tmp_path / "own.key")},
            "signing_request": request("own"),
            "stranger_request": request("stranger"),
            "store_text": str(tmp_path / "seals"),
        }
        run_contract(SignatureMechanismContract, test, mechanism=mechanism, **{**defaults, **given})

    return run


def parse_loosely(self, kind, members):
    if not isinstance(members.get("keyPath"), str):
        raise PolicyError("no key")
    return type(self).__mro__[1].parse_requirement(self, kind, {"keyPath": members["keyPath"]})


def parse_any_type(self, kind, members):
    return type(self).__mro__[1].parse_requirement(self, kind, {**members, "keyPath": str(members.get("keyPath", "x"))})


def parse_and_read(self, kind, members):
    parsed = type(self).__mro__[1].parse_requirement(self, kind, members)
    read_key(members["keyPath"])
    return parsed


def parse_and_take(self, kind, members):
    parsed = type(self).__mro__[1].parse_requirement(self, kind, members)
    members.clear()
    return parsed


@pytest.mark.parametrize(
    ("parse", "test"),
    [
        (parse_loosely, "test_unknown_member_of_a_requirement_is_refused"),
        (parse_any_type, "test_member_of_another_type_is_refused"),
        (parse_any_type, "test_requirement_without_members_is_refused"),
        (parse_and_read, "test_keys_are_read_when_an_image_is_judged"),
        (parse_and_take, "test_reading_a_requirement_changes_and_keeps_nothing_of_it"),
    ],
)
def test_a_requirement_that_is_read_wrongly_is_noticed(parse, test, seal, check):
    class Faulty(seal.SealMechanism):
        parse_requirement = parse

    with pytest.raises((AssertionError, pytest.fail.Exception, OSError, PolicyError)):
        check(Faulty(), test)


def test_signing_with_another_key_than_that_was_named_is_noticed(seal, check):
    class Faulty(seal.SealMechanism):
        def open_signer(self, request):
            return seal.SealSigner(b"the key of the house")

    with pytest.raises(pytest.fail.Exception):
        check(Faulty(), "test_key_that_is_not_there_cannot_sign")


def only_ours(self, reference, digest, signatures):
    type(self).__mro__[1].write(self, reference, digest, [each for each in signatures if each.format == FORMAT])


def add(self, reference, digest, signatures):
    old = self.read(reference, digest)
    type(self).__mro__[1].write(self, reference, digest, [*old, *signatures])


def one_path(self, digest):
    return f"{self._folder}/all"


def parse_hex(self, reference, digest):
    path = self._path(digest)
    with reporting("read", path):
        lines = read_regular(path, 1 << 20).split() if os.path.exists(path) else []
    return [Signature.parse(bytes.fromhex(line.decode())) for line in lines]


def read_with_open(self, reference, digest):
    path = self._path(digest)
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        return [Signature.parse(base64.b16decode(line, casefold=True)) for line in file.read().split()]


def read_all_there_is(self, reference, digest):
    with contextlib.suppress(OSError), open(self._path(digest), "rb") as file:
        data = file.read()
        with contextlib.suppress(ValueError, TransshipError):
            return [Signature.parse(bytes.fromhex(line.decode())) for line in data.split()]
    return []


def give_bytes(self, reference, digest):
    return [each.to_bytes() for each in type(self).__mro__[1].read(self, reference, digest)]


def write_in_place(self, reference, digest, signatures):
    with reporting("write", self._path(digest)), open(self._path(digest), "wb") as file:
        file.write("".join(f"{each.to_bytes().hex()}\n" for each in signatures).encode())


def write_without_reporting(self, reference, digest, signatures):
    write_file(self._path(digest), "".join(f"{each.to_bytes().hex()}\n" for each in signatures).encode())


def write_if_it_works(self, reference, digest, signatures):
    with contextlib.suppress(TransshipError):
        type(self).__mro__[1].write(self, reference, digest, signatures)


KEEPS = "test_store_keeps_signatures_or_there_is_none"
DAMAGED = "test_damaged_store_causes_no_error_but_those_of_transship"
TOO_BIG = "test_store_that_is_far_too_big_is_not_held_in_memory"
FULL = "test_store_that_cannot_be_written_keeps_what_it_has"


@pytest.mark.parametrize(
    ("members", "test"),
    [
        ({"write": only_ours}, KEEPS),
        ({"write": add}, KEEPS),
        ({"_path": one_path}, KEEPS),
        ({"read": parse_hex}, DAMAGED),
        ({"read": read_with_open}, DAMAGED),
        ({"read": give_bytes}, DAMAGED),
        ({"read": read_all_there_is}, TOO_BIG),
        ({"write": write_in_place}, FULL),
        ({"write": write_without_reporting}, FULL),
        ({"write": write_if_it_works}, FULL),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_store_with_a_fault_is_noticed(members, test, seal, check):
    store = type("FaultyFolder", (seal.SealFolder,), members)

    class Faulty(seal.SealMechanism):
        def open_store(self, text, context):
            return store(text)

    with pytest.raises(AssertionError):
        check(Faulty(), test)


def test_a_store_that_nothing_was_said_of_is_noticed(seal, check):
    with pytest.raises(pytest.fail.Exception):
        check(seal.SealMechanism(), "test_store_keeps_signatures_or_there_is_none", store_text=None)
