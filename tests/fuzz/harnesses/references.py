"""Digests, and references of every transport: what is read must be read again from its own text."""

from __future__ import annotations

from harnesses.target import CheckFunction, Target, refusing, text_of
from transship.errors import InvalidDigestError, InvalidReferenceError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.transport import Transport
from transship_dir.transport import DirTransport
from transship_docker.transport import DockerTransport
from transship_docker_archive.transport import DockerArchiveTransport
from transship_oci.transport import OciTransport
from transship_oci_archive.transport import OciArchiveTransport

_DIGEST = f"sha256:{'a' * 64}"
_NAMES = (
    "busybox",
    "localhost/a:1",
    "registry.example.com:5000/team/app:v1.2-3_4",
    f"docker.io/library/busybox@{_DIGEST}",
    f"a.b/c__d/e-f--g:tag@{_DIGEST}",
    "UPPER.example/x",
)
_WORDS = (
    *(word.encode() for word in (":", "@", "/", "//", ":@", "..", "__", "--", ".", "*.", "localhost", "docker.io")),
    *(word.encode() for word in ("index.docker.io", "library/", "latest", _DIGEST, "a" * 64, "@@unknown-digest@@")),
    *(word.encode() for word in ("sha512:", "sha384:", "5000", "\n", "\N{KELVIN SIGN}", "\u0660", "\0")),
)


def _check_digest(data: bytes) -> None:
    text = text_of(data)
    with refusing(InvalidDigestError):
        digest = Digest.parse(text)
        assert str(digest) == text
        assert Digest(digest.algorithm, digest.encoded) == digest
        assert text.isascii()
        assert "/" not in text


def _check_docker_reference(data: bytes) -> None:
    with refusing(InvalidReferenceError):
        reference = DockerReference.parse(text_of(data))
        assert DockerReference.parse_canonical(str(reference)) == reference
        suffix = str(reference).removeprefix(reference.name)
        assert DockerReference.parse(reference.familiar_name + suffix) == reference
        assert reference.name in reference.policy_namespaces
        assert str(reference).isascii()
        assert not {"", ".", ".."} & {*reference.path.split("/"), reference.domain}


def _check_transport(transport: Transport) -> CheckFunction:
    def check(data: bytes) -> None:
        text = text_of(data)
        with refusing(InvalidReferenceError):
            reference = transport.parse_reference(text)
            name, _, rest = str(reference).partition(":")
            assert name == reference.transport == transport.name
            assert transport.parse_reference(rest) == reference
            for scope in (reference.policy_identity, *reference.policy_namespaces):
                if scope:
                    transport.validate_policy_scope(scope)
        with refusing(InvalidReferenceError):
            transport.validate_policy_scope(text)

    return check


def _transport_target(transport: Transport, seeds: tuple[str, ...]) -> Target:
    return Target(
        f"reference-{transport.name}",
        _check_transport(transport),
        [seed.encode() for seed in seeds],
        _WORDS,
        longest=600,
    )


TARGETS = (
    Target(
        "digest",
        _check_digest,
        [_DIGEST.encode(), f"sha512:{'0' * 128}".encode(), f"sha384:{'0' * 96}".encode(), f"md5:{'0' * 32}".encode()],
        _WORDS,
        longest=300,
    ),
    Target("docker-reference", _check_docker_reference, [name.encode() for name in _NAMES], _WORDS, longest=600),
    _transport_target(
        DockerTransport(), ("*.example.com", "//a/b@@unknown-digest@@", *(f"//{name}" for name in _NAMES))
    ),
    _transport_target(DockerArchiveTransport(), ("a.tar", "a.tar:@3", *(f"b/a.tar:{name}" for name in _NAMES))),
    _transport_target(OciTransport(), ("a", "a:", "/b/../a:v1", "a:x/y--z", "a:@2", "/a/b:v1")),
    _transport_target(OciArchiveTransport(), ("a.tar", "a.tar:v1", "/a.tar:x@y")),
    _transport_target(DirTransport(), ("", ".", "/", "a", "a/../b", "/tmp//x/", "a:b")),  # noqa: S108 - a name only
)
