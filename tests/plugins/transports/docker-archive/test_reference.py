from __future__ import annotations

import pytest

from transship.errors import InvalidReferenceError

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("x", "x"),
        ("x:busybox", "x:docker.io/library/busybox:latest"),
        ("/a/b.tar:localhost:5000/c:1", "/a/b.tar:localhost:5000/c:1"),
        ("x:@3", "x:@3"),
        (":busybox:1", ":docker.io/library/busybox:1"),
    ],
)
def test_canonical_form_has_full_names(text, canonical, transport):
    reference = transport.parse_reference(text)
    assert str(reference) == f"docker-archive:{canonical}"
    assert transport.parse_reference(reference.text) == reference


def test_named_is_the_docker_reference(transport):
    assert str(transport.parse_reference("x:busybox").named) == "docker.io/library/busybox:latest"
    assert transport.parse_reference("x").named is None
    assert transport.parse_reference("x:@1").named is None


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "isn't of the form"),
        ("x\0", "isn't of the form"),
        ("x:", "docker-archive parsing reference: invalid reference format"),
        ("x:UPPER", "must be lowercase"),
        (f"x:busybox@{DIGEST}", "reference does not include a tag"),
        (f"x:busybox:1@{DIGEST}", "digest"),
        ("x:@", "Invalid source index @"),
        ("x:@x", "Invalid source index @x"),
        ("x:@-1", "must not be negative"),
        ("x:@" + "9" * 5000, "Invalid source index"),
    ],
)
def test_text_that_names_nothing_is_refused(text, phrase, transport):
    with pytest.raises(InvalidReferenceError, match=phrase):
        transport.parse_reference(text)


def test_policy_knows_only_the_empty_scope(transport):
    reference = transport.parse_reference("x:busybox")
    assert (reference.policy_identity, reference.policy_namespaces) == ("", ())
    transport.validate_policy_scope("")
    with pytest.raises(InvalidReferenceError):
        transport.validate_policy_scope("/x")
