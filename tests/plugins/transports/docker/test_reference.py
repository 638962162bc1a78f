"""``docker:`` references."""

from __future__ import annotations

import pytest

from transship.errors import InvalidReferenceError
from transship_docker.reference import validate_registry_scope
from transship_docker.transport import DockerTransport

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "printed", "full"),
    [
        ("//busybox", "docker://busybox:latest", "docker.io/library/busybox:latest"),
        ("//docker.io/library/busybox:1", "docker://busybox:1", "docker.io/library/busybox:1"),
        ("//foo/bar", "docker://foo/bar:latest", "docker.io/foo/bar:latest"),
        ("//localhost:5000/x", "docker://localhost:5000/x:latest", "localhost:5000/x:latest"),
        (f"//x@{DIGEST}", f"docker://x@{DIGEST}", f"docker.io/library/x@{DIGEST}"),
        (f"//x:1@{DIGEST}", f"docker://x:1@{DIGEST}", f"docker.io/library/x:1@{DIGEST}"),
        ("//h.tld/x@@unknown-digest@@", "docker://h.tld/x@@unknown-digest@@", "h.tld/x"),
    ],
)
def test_reference_is_completed(text, printed, full):
    reference = DockerTransport().parse_reference(text)
    assert (str(reference), str(reference.named)) == (printed, full)
    assert DockerTransport().parse_reference(reference.text) == reference


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("busybox", "does not start with //"),
        ("", "does not start with //"),
        ("//", "invalid reference format"),
        ("//X", "must be lowercase"),
        ("//x:", "invalid reference format"),
        ("//x:1@@unknown-digest@@", "contains either a tag or digest"),
        (f"//x@{DIGEST}@@unknown-digest@@", "contains either a tag or digest"),
        ("//x@sha256:12", "invalid reference format"),
    ],
)
def test_what_names_no_image_is_refused(text, phrase):
    with pytest.raises(InvalidReferenceError, match=phrase):
        DockerTransport().parse_reference(text)


@pytest.mark.parametrize("text", ["//x:1", f"//x@{DIGEST}"])
def test_a_repository_has_neither_tag_nor_digest(text):
    with pytest.raises(InvalidReferenceError, match="No tag or digest allowed"):
        DockerTransport().parse_place(text)


def test_beside_a_digest_the_tag_is_no_policy_identity():
    reference = DockerTransport().parse_reference(f"//h.tld/a/b:1@{DIGEST}")
    assert reference.policy_identity == f"h.tld/a/b@{DIGEST}"
    assert reference.policy_namespaces == ("h.tld/a/b", "h.tld/a", "h.tld", "*.tld")


@pytest.mark.parametrize(
    "scope",
    [
        "docker.io",
        "docker.io/library",
        "docker.io/library/busybox",
        "docker.io/library/busybox:latest",
        f"docker.io/library/busybox@{DIGEST}",
        "localhost",
        "localhost/team/app",
        "registry:5000",
        "registry:5000/app:v1",
        "Registry.example.com/team",
        "*.com",
        "*.registry.example.com",
    ],
)
def test_policy_scope_that_an_image_can_have_is_accepted(scope):
    validate_registry_scope(scope)


@pytest.mark.parametrize(
    "scope",
    [
        "",
        " ",
        "busybox",
        "library/busybox",
        "registry/app",
        "index.docker.io",
        "docker.io/busybox:latest",
        f"registry.example.com/app:v1@{DIGEST}",
        f"registry.example.com@{DIGEST}",
        "registry.example.com/",
        "registry.example.com//app",
        "registry.example.com/Team",
        "registry.example.com/team/",
        "registry.example.com/team/*",
        "registry.example.com/app:",
        "registry.example.com/app:v*",
        "registry.example.com/app@sha256:12",
        "https://registry.example.com",
        "registry.example.com ",
        "*",
        "*.",
        "*.*.com",
        "*.example.com:5000",
        "*.example.com/team",
        "registry.*.com",
    ],
)
def test_policy_scope_that_no_image_can_have_is_refused(scope):
    with pytest.raises(InvalidReferenceError):
        validate_registry_scope(scope)
