from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import InvalidReferenceError, TransshipError
from transship.image.digest import Digest
from transship.image.reference import DockerReference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("foo/bar", "docker.io/foo/bar"),
        ("localhost/x", "localhost/x"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("host.tld/x", "host.tld/x"),
        ("host/x", "docker.io/host/x"),
        ("index.docker.io/x", "docker.io/library/x"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("HOST.tld:1/a__b/c---d.e_f:T.-_", "HOST.tld:1/a__b/c---d.e_f:T.-_"),
        (f"a/b:t@{DIGEST}", f"docker.io/a/b:t@{DIGEST}"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
    ],
)
def test_short_references_are_completed(text, full):
    reference = DockerReference.parse(text)
    assert str(reference) == full
    assert DockerReference.parse(full) == DockerReference.parse_canonical(full) == reference


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("x@", "invalid reference format"),
        ("a..b/x", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("/x", "invalid reference format"),
        ("x/", "invalid reference format"),
        ("-x.y/z", "invalid reference format"),
        ("a.b:port/x", "invalid reference format"),
        ("[::1]:5000/x", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a.-b", "invalid reference format"),
        ("x:t:u", "invalid reference format"),
        (f"x:{'t' * 129}", "invalid reference format"),
        ("x:\n", "invalid reference format"),
        ("x\n", "invalid reference format"),
        ("x\ud800", "invalid reference format"),
        ("x@sha256:abc", "invalid reference format"),
        (f"x@sha256:{HEX.upper()}", "invalid"),
        (f"x@md5:{HEX}", "unsupported digest algorithm"),
        (f"x@sha512:{HEX}", "invalid checksum digest length"),
        ("UPPER/x", "repository name must be lowercase"),
        ("host.tld/X:t", "repository name must be lowercase"),
        (HEX, "cannot specify 64-byte hexadecimal strings"),
        ("a" * 250, "repository name must not be more than 255 characters"),
        ("x" * 10_000_000, "more than 255 characters"),
        ("x" + "-" * 10_000_000, "invalid reference format"),
        ("a_" * 3_000_000, "invalid reference format"),
        (".".join("a" * 2_000_000) + "/x!", "invalid reference format"),
    ],
)
def test_what_is_no_reference_is_refused(text, phrase):
    with pytest.raises(InvalidReferenceError) as caught:
        DockerReference.parse(text)
    assert phrase in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text", ["ann:hush@host/app", "ann:hush@host:5000/app", "ann:hush@host", "hush@host/App", "ann:p@hush@host/app"]
)
def test_what_may_be_a_password_is_not_repeated(text):
    with pytest.raises(InvalidReferenceError) as caught:
        DockerReference.parse(text)
    assert "hush" not in str(caught.value)


def test_name_may_have_255_characters():
    path = "a" * (255 - len("docker.io/library/"))
    assert len(DockerReference.parse(path).name) == 255


@pytest.mark.parametrize("text", ["busybox", "docker.io/x", "index.docker.io/library/x"])
def test_only_the_full_form_is_canonical(text):
    with pytest.raises(InvalidReferenceError, match="repository name must be canonical"):
        DockerReference.parse_canonical(text)


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("busybox:1", "busybox"),
        ("foo/bar", "foo/bar"),
        ("docker.io/library/a/b", "library/a/b"),
        ("host.tld/library/x", "host.tld/library/x"),
        ("docker.io/host.tld/x", "docker.io/host.tld/x"),
        ("docker.io/localhost/x", "docker.io/localhost/x"),
        ("docker.io/host/x", "host/x"),
        ("docker.io/localhost", "localhost"),
        (f"docker.io/{HEX}", f"docker.io/library/{HEX}"),
    ],
)
def test_familiar_name_is_the_shortest_that_means_the_same(text, familiar):
    reference = DockerReference.parse(text)
    assert reference.familiar_name == familiar
    assert DockerReference.parse(familiar).name == reference.name


@pytest.mark.parametrize(("text", "tag"), [("x", "latest"), ("x:1", "1"), (f"x@{DIGEST}", ""), (f"x:1@{DIGEST}", "1")])
def test_default_tag_is_for_references_to_nothing_else(text, tag):
    assert DockerReference.parse(text).with_default_tag().tag == tag


def test_without_tag_keeps_the_digest():
    reference = DockerReference.parse(f"x:1@{DIGEST}").without_tag()
    assert (reference.tag, reference.digest) == ("", Digest("sha256", HEX))


def test_policy_scopes_go_from_the_image_to_the_top_level_domain():
    reference = DockerReference.parse("r.example.com:5000/a/b:t")
    assert reference.policy_identity == "r.example.com:5000/a/b:t"
    assert reference.policy_namespaces == (
        "r.example.com:5000/a/b",
        "r.example.com:5000/a",
        "r.example.com:5000",
        "*.example.com",
        "*.com",
    )


@settings(deadline=None)
@given(st.text(alphabet="abAB01.:/@-_ \n\ud800é" + "sha256", max_size=60))
def test_parsing_ends_in_a_reference_or_an_error(text):
    try:
        reference = DockerReference.parse(text)
    except TransshipError:
        return
    assert DockerReference.parse(str(reference)) == reference
