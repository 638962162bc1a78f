"""Configuration of registries: registries.conf, registries.d, credentials, TLS."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harnesses.json_texts import WORDS as JSON_WORDS
from harnesses.target import Target, file_with, refusing
from transship.errors import InvalidManifestError, TransportError
from transship.image.reference import DockerReference
from transship_docker.credential_files import CredentialFile, find_credentials
from transship_docker.registries import Registries
from transship_docker.registries_d import SignatureStorage
from transship_docker.tls_details import load_tls_details

_REFERENCES = tuple(
    DockerReference.parse(text)
    for text in ("busybox", "registry.example.com/team/app:v1", f"a.example:5000/b@sha256:{'a' * 64}")
)


def _check_registries(data: bytes) -> None:
    with file_with(data) as path, refusing(TransportError):
        registries = Registries.load(path)
        for reference in _REFERENCES:
            registries.insecure(reference)
            with refusing(TransportError):
                endpoints = registries.endpoints(reference)
                assert not endpoints[-1].is_mirror
                registries.require_allowed(reference)


def _check_credentials(data: bytes) -> None:
    for is_old in (False, True):
        with file_with(data) as path, refusing((TransportError, InvalidManifestError)):
            file = CredentialFile(path, is_old=is_old)
            document = file.read()
            file.store(document)
            helpers = file.helpers(document) if not is_old else {}
            for key, entry in file.entries(document).items():
                with refusing(TransportError):
                    found = file.decode(key, entry, lambda line: None)
                    assert found is None or ":" not in found.username
            if not (helpers or file.store(document) or is_old):  # no program is run
                find_credentials("registry.example.com", "team/app", authfile=path)


def _check_signature_storage(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, refusing(TransportError):
        Path(folder, "a.yaml").write_bytes(data)
        storage = SignatureStorage.load(folder)
        for reference in _REFERENCES:
            assert isinstance(storage.uses_attachments(reference), bool)
            with refusing(TransportError):
                for url in storage.lookaside(reference):
                    assert url.startswith(("file:", "http:", "https:"))


def _check_tls_details(data: bytes) -> None:
    with file_with(data) as path, refusing(TransportError):
        load_tls_details(path)


_TOML_WORDS = (
    *(b"[[registry]]", b"[[registry.mirror]]", b"[aliases]", b"[registries.search]", b"[registries.block]", b"'''"),
    *(b"prefix = ", b"location = ", b"insecure = true", b"blocked = true", b"mirror-by-digest-only = true", b'"""'),
    *(b'pull-from-mirror = "tag-only"', b'"*.example.com"', b"unqualified-search-registries = ", b"registries = "),
    *(b"short-name-mode = ", b"credential-helpers = ", b'"registry.example.com"', b"1979-05-27T07:32:00Z", b"0x1"),
)
_YAML_WORDS = (b"docker:\n", b"default-docker:\n", b"- ", b": ", b"&a ", b"*a", b"<<: ", b"!!python/object:a", b"? ")
_YAML_WORDS += (b"|\n", b">\n", b"---\n", b"...\n", b"%YAML 1.1\n", b"{", b"}", b"[", b"]", b"!!binary ", b"2001-01-01")

TARGETS = (
    Target(
        "registries-conf",
        _check_registries,
        (
            b'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "enforcing"\n'
            b'[[registry]]\nprefix = "registry.example.com/team"\nlocation = "mirror.example.com"\ninsecure = true\n'
            b'[[registry.mirror]]\nlocation = "a.example:5000/x"\npull-from-mirror = "digest-only"\n'
            b'[[registry]]\nprefix = "*.example.com"\nblocked = true\n[aliases]\n"a" = "b.example/c"\n',
            b'[registries.search]\nregistries = ["a.example"]\n[registries.insecure]\nregistries = ["b.example"]\n'
            b"[registries.block]\nregistries = ['docker.io']\n",
            b'credential-helpers = ["containers-auth.json", "x"]\n[[registry]]\nlocation = "docker.io"\n'
            b"mirror-by-digest-only = true\n",
        ),
        _TOML_WORDS,
    ),
    Target(
        "credentials",
        _check_credentials,
        (
            b'{"auths":{"registry.example.com/team":{"auth":"dXNlcjpwYXNz","identitytoken":"t"},"https://a/v1/":{}}}',
            b'{"credHelpers":{"a.example":"x"},"credsStore":"y","auths":{"b":{"auth":""}}}',
            b'{"https://registry.example.com/v1/":{"auth":"dXNlcjpwYXNz","email":"x"}}',
        ),
        (*JSON_WORDS, b'"auths"', b'"auth"', b'"identitytoken"', b'"credsStore"', b'"credHelpers"', b'"dXNlcjpwYXNz"'),
    ),
    Target(
        "registries-d",
        _check_signature_storage,
        (
            b"default-docker:\n  lookaside: file:///var/lib/x\n  use-sigstore-attachments: true\n"
            b"docker:\n  registry.example.com/team:\n    lookaside: https://a.example/sigs\n"
            b"    lookaside-staging: file:///a\n  a.example:5000: &a\n    sigstore: http://b\n  docker.io: *a\n",
            b"docker: {busybox: {sigstore-staging: 'x'}}\n",
        ),
        (*_YAML_WORDS, b"lookaside: ", b"use-sigstore-attachments: ", b"file:///", b"https://["),
    ),
    Target(
        "tls-details",
        _check_tls_details,
        (
            b'minVersion: "1.2"\ncipherSuites:\n  - "TLS_AES_128_GCM_SHA256"\nnamedGroups: [x25519]\n',
            b"minVersion: 1.3\n",
        ),
        _YAML_WORDS,
    ),
)
