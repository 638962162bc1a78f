"""The file that says what to sync."""

from __future__ import annotations

from harnesses.target import Target, refusing
from transship.sync.document import load_sync_document
from transship.sync.settings import SETTINGS


class _NoLog:
    def warning(self, message: str, **fields: str) -> None:
        assert isinstance(message, str)

    error = warning


def _check(data: bytes) -> None:
    with refusing():
        for source in load_sync_document(data, "sync.yaml", _NoLog()):
            for repository in source.repositories:
                selection = repository.settings.selection
                assert all(image.name == repository.repository.name for image in repository.images)
                assert selection == repository.settings.selection


_SEEDS = (
    b"registry.example.com:\n    images:\n        busybox: []\n        redis:\n            - '1.0'\n"
    b"            - sha256:%s\n    credentials:\n        username: a\n        password: b\n"
    b"    tls-verify: true\n    cert-dir: /x\n" % (b"a" * 64),
    b"quay.io:\n  images-by-tag-regex:\n    a/b: ^1\\.13\\.[12]-alpine$\n"
    b"  images-by-semver:\n    c: '>= 1.2, < 2 || ~3'\n"
    b"  transship:\n    platform: [linux/amd64, linux/arm64/v8]\n    newest: 3\n    newest-by: version\n"
    b"    repositories:\n      c:\n        exclude-tag: ['-rc$']\n        scoped: true\n        dest-name: '{tag}'\n",
    b"a: &x\n  images: &y {b: &z [c]}\nd:\n  <<: *x\n  tls-verify: no\n---\ne: {}\n",
    b"? a\n: images: !!map {b: !!seq [!!str c, ~, 'null', 0x1]}\n",
)
_WORDS = (
    *(b"images:", b"images-by-tag-regex:", b"images-by-semver:", b"credentials:", b"tls-verify:", b"transship:"),
    *(b"repositories:", *(f"{name}:".encode() for name in SETTINGS), b"- ", b": ", b"&a ", b"*a", b"linux/amd64"),
    *(b"<<: *a", b"!!str ", b"!!binary ", b"|\n", b">-\n", b"---\n", b"{", b"}", b"[", b"]", b"? ", b"\xff\xfe"),
    *(b"(a+)+$", b">=1.0", b"||", b"^1.2", b"~1", b" - ", b"*"),
)

TARGETS = (Target("sync-document", _check, _SEEDS, _WORDS),)
