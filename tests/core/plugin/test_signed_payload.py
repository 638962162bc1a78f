"""What is signed is written in one form, and read strictly."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import SignatureError
from transship.image.digest import Digest, digest_of
from transship.image.reference import DockerReference
from transship.plugin.mechanism import UntrustedImage
from transship.plugin.signed_identity import MatchRepository
from transship.plugin.signed_payload import SignedPayload, make_payload, parse_payload
from transship.plugin.transport import Reference
from transship.testing.images import oci_image, schema1_image

KIND = "atomic container signature"
DIGEST = digest_of(b"manifest")
REFERENCE = DockerReference.parse("example.com/app:1")


def _document(**changes):
    document = json.loads(make_payload(KIND, REFERENCE, DIGEST))
    for place, value in changes.items():
        *parents, last = place.split("__")
        members = document
        for parent in parents:
            members = members[parent]
        if value is ...:
            del members[last]
        else:
            members[last] = value
    return json.dumps(document).encode()


def test_form_is_compact_and_sorted():
    data = make_payload(KIND, REFERENCE, DIGEST, timestamp=12)
    document = json.loads(data)
    assert data == json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert document["critical"] == {
        "identity": {"docker-reference": "example.com/app:1"},
        "image": {"docker-manifest-digest": str(DIGEST)},
        "type": KIND,
    }
    assert document["optional"]["timestamp"] == 12


def test_time_is_that_of_signing():
    before = int(time.time())
    assert before <= json.loads(make_payload(KIND, REFERENCE, DIGEST))["optional"]["timestamp"] <= time.time()


@settings(deadline=None)
@given(reference=st.text(), timestamp=st.integers(0, 1 << 40))
def test_what_is_written_is_read_again(reference, timestamp):
    data = make_payload(KIND, reference, DIGEST, timestamp=timestamp)
    assert parse_payload(data, KIND) == SignedPayload(reference, DIGEST)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optional": {}},
        {"optional__creator": ...},
        {"optional__timestamp": ...},
        {"optional__timestamp": 1.7e9},
        {"optional__timestamp": -1},
        {"optional__more": {"x": [1]}},
    ],
)
def test_what_does_not_matter_may_be_there_or_not(changes):
    assert parse_payload(_document(**changes), KIND).digest == DIGEST


@pytest.mark.parametrize(
    "changes",
    [
        {"critical": ...},
        {"optional": ...},
        {"critical__type": ...},
        {"critical__image": ...},
        {"critical__identity": ...},
        {"critical__image__docker-manifest-digest": ...},
        {"critical__identity__docker-reference": ...},
        {"more": 1},
        {"critical__more": 1},
        {"critical__image__more": 1},
        {"critical__identity__more": 1},
        {"critical": None},
        {"critical": []},
        {"critical__type": 1},
        {"critical__type": "other"},
        {"critical__type": KIND.upper()},
        {"critical__image": "x"},
        {"critical__identity": "x"},
        {"critical__image__docker-manifest-digest": "sha256:" + "A" * 64},
        {"critical__image__docker-manifest-digest": "md5:" + "0" * 32},
        {"critical__image__docker-manifest-digest": "../" + "0" * 64},
        {"critical__identity__docker-reference": 1},
        {"optional": None},
        {"optional": []},
        {"optional": "x"},
        {"optional__creator": None},
        {"optional__creator": 1},
        {"optional__timestamp": None},
        {"optional__timestamp": True},
        {"optional__timestamp": 1.5},
        {"optional__timestamp": "1"},
    ],
)
def test_anything_odd_is_refused(changes):
    with pytest.raises(SignatureError):
        parse_payload(_document(**changes), KIND)


def test_optional_may_be_null_where_cosign_writes_it():
    assert parse_payload(_document(optional=None), KIND, allows_null_optional=True).digest == DIGEST


@pytest.mark.parametrize("optional", [[], "", 0, False])
def test_optional_may_be_nothing_else_even_there(optional):
    with pytest.raises(SignatureError):
        parse_payload(_document(optional=optional), KIND, allows_null_optional=True)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff", b'{"critical":1,"critical":2}', b"[" * 100_000])
def test_what_is_no_payload_is_refused(data):
    with pytest.raises(SignatureError):
        parse_payload(data, KIND)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(SignatureError):
        parse_payload(data, KIND)


@settings(deadline=None)
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_changed_byte_never_changes_the_claim_unseen(position, byte):
    """A changed text is refused, or claims something else, or differs only in what does not matter."""
    data = bytearray(make_payload(KIND, REFERENCE, DIGEST, timestamp=1))
    data[position % len(data)] = byte
    with contextlib.suppress(SignatureError):
        claim = parse_payload(bytes(data), KIND)
        assert json.loads(bytes(data))["critical"]["image"]["docker-manifest-digest"] == str(claim.digest)
        assert json.loads(bytes(data))["critical"]["identity"]["docker-reference"] == claim.reference


def _image(image, name="example.com/app:1"):
    reference = Reference(transport="memory", text="", named=DockerReference.parse(name) if name else None)
    return UntrustedImage(reference, image.manifest, image.media_type)


@pytest.mark.parametrize("image", [oci_image(), schema1_image()])
def test_claim_about_the_image_is_believed(image):
    SignedPayload("example.com/app:2", image.digest).check(_image(image), MatchRepository())


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (SignedPayload("example.com/app:1", DIGEST), "digest"),
        (SignedPayload("example.com/other:1", DIGEST), "digest"),
        (SignedPayload("example.com/other:1", oci_image().digest), "identity"),
    ],
)
def test_claim_about_something_else_is_refused_and_the_digest_goes_first(claim, reason):
    with pytest.raises(SignatureError, match=reason):
        claim.check(_image(oci_image()), MatchRepository())


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_digest_counts_in_every_algorithm(algorithm):
    image = oci_image()
    claim = SignedPayload("example.com/app:1", digest_of(image.manifest, algorithm))
    claim.check(_image(image), MatchRepository())


def test_digest_of_signed_schema_1_is_without_its_signatures():
    image = schema1_image()
    assert isinstance(image.digest, Digest)
    with pytest.raises(SignatureError):
        SignedPayload("example.com/app:1", digest_of(image.manifest)).check(_image(image), MatchRepository())
