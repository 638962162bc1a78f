"""What is measured: commands that both programs understand, and what is known of each.

Arguments hold places: ``{images}`` the folder of images, ``{out}`` what is written and was removed before,
``{registry}`` host and port, ``{fresh}`` a name that is new in each run, ``{who}`` one for each program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_TLS = ("--src-tls-verify=false",)
_BOTH_TLS = (*_TLS, "--dest-tls-verify=false")
_ZSTD = ("--dest-compress-format", "zstd")
_LEVEL_1 = ("--dest-compress-format", "gzip", "--dest-compress-level", "1")
_WEB = "docker://{registry}/web:latest"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A command, and what it reads and writes.

    ``source`` is the name in the folder of images that is read, ``""``: too little to count. ``written`` is how a
    reader calls what is there afterwards, ``""``: nothing; ``folders`` says that ``{out}`` holds images as folders.
    ``rehashed``: the layers come out as other bytes, and need digests of their own. ``requests`` are the fewest
    with which any client can do it. ``goal`` is the most time that is meant to be taken, as a share of the peer's;
    of the group ``start`` in times of ``python -c pass``. ``twin`` is the scenario whose time of the
    peer counts where the peer cannot do this one.
    """

    name: str
    arguments: tuple[str, ...]
    group: Literal["start", "local", "registry", "sync"]
    goal: float | None = None
    source: str = ""
    written: str = ""
    folders: bool = False
    rehashed: bool = False
    requests: int = 0
    twin: str = ""

    @property
    def needs_registry(self) -> bool:
        """Whether there must be one."""
        return any("{registry}" in argument for argument in self.arguments)


def all_scenarios(images: int) -> list[Scenario]:
    """All of them; ``images`` is how many the repository ``many`` holds."""
    return [*_start(), *_local(), *_registry(), *_sync(images)]


def _start() -> list[Scenario]:
    inspect = ("inspect", "--tls-verify=false", _WEB)
    return [
        Scenario("--version", ("--version",), "start", 5),
        Scenario("manifest-digest", ("manifest-digest", "{images}/manifest.json"), "start", 8),
        Scenario("inspect", inspect, "start", 14, requests=3),
        Scenario("inspect without tags", (*inspect, "--no-tags"), "start", requests=2),
        Scenario("inspect --raw", (*inspect, "--raw"), "start", requests=1),
        Scenario("list-tags", ("list-tags", "--tls-verify=false", "docker://{registry}/many"), "start", requests=1),
    ]


def _local() -> list[Scenario]:
    return [
        _copy("oci to dir", (), "oci:{images}/web:latest", "dir:{out}", 0.40),
        _copy("oci to oci", (), "oci:{images}/web:latest", "oci:{out}:x", 0.40),
        _copy("oci to oci-archive", (), "oci:{images}/web:latest", "oci-archive:{out}:x", 0.40),
        _packed("docker-archive to oci, gzip", (), 0.55),
        _packed("docker-archive to oci, gzip level 1", _LEVEL_1, 0.40),
        _packed("docker-archive to oci, zstd", _ZSTD, 0.50),
        Scenario(
            "oci to docker-archive",
            ("copy", "oci:{images}/web:latest", "docker-archive:{out}:web:latest"),
            "local",
            0.30,
            source="web",
            written="docker-archive:{out}",
            rehashed=True,
        ),
        Scenario(
            "oci to oci, gzip to zstd",
            ("copy", *_ZSTD, "--dest-force-compress-format", "oci:{images}/web:latest", "oci:{out}:x"),
            "local",
            0.60,
            source="web",
            written="oci:{out}:x",
            rehashed=True,
            twin="docker-archive to oci, zstd",
        ),
    ]


def _registry() -> list[Scenario]:
    layers, platforms = 3, 6
    blobs = layers + 1
    index = ("--all", *_TLS, "docker://{registry}/multi:latest", "oci:{out}:x")
    return [
        _copy("registry to dir", _TLS, _WEB, "dir:{out}", 0.45, requests=1 + blobs),
        _copy("registry to oci", _TLS, _WEB, "oci:{out}:x", 0.45, requests=1 + blobs),
        Scenario(
            "registry to oci, index of six",
            ("copy", *index),
            "registry",
            1.1,
            source="multi",
            written="oci:{out}:x",
            requests=1 + platforms * 3 + 1,  # each manifest, config and layer of its own; the shared layer once
        ),
        Scenario(
            "oci to registry",
            ("copy", "--dest-tls-verify=false", "oci:{images}/web:latest", "docker://{registry}/{fresh}:x"),
            "registry",
            source="web",
            written="docker://{registry}/{fresh}:x",
            requests=1 + 2 * blobs,  # POST and PUT
        ),
        Scenario(
            "registry to registry, mounted",
            ("copy", *_BOTH_TLS, _WEB, "docker://{registry}/{fresh}:x"),
            "registry",
            5.0,
            written="docker://{registry}/{fresh}:x",
            requests=2 + blobs,
        ),
    ]


def _sync(images: int) -> list[Scenario]:
    sync = ("sync", "--src", "docker", "--dest")
    own_blobs = 2
    to_registry = 1 + images * (2 + own_blobs) + 1  # the shared layer is mounted once
    return [
        Scenario(
            f"sync {images} images, registry to dir",
            (*sync, "dir", *_TLS, "{registry}/many", "{out}"),
            "sync",
            source="many",
            written="dir:{out}/many:t0",
            folders=True,
            requests=1 + images * (1 + own_blobs) + 1,
        ),
        Scenario(
            f"sync {images} images, registry to registry",
            (*sync, "docker", *_BOTH_TLS, "{registry}/many", "{registry}/{fresh}"),
            "sync",
            written="docker://{registry}/{fresh}/many:t0",
            requests=1 + to_registry,  # what is there is asked by listing tags
        ),
        Scenario(
            f"sync {images} images, nothing to do",
            (*sync, "docker", *_BOTH_TLS, "{registry}/many", "{registry}/{who}"),
            "sync",
            written="docker://{registry}/{who}/many:t0",
            requests=1 + 2 * images,  # the tags, and the digest of each on both sides
        ),
    ]


def _copy(name: str, flags: tuple[str, ...], source: str, target: str, goal: float, *, requests: int = 0) -> Scenario:
    group: Literal["local", "registry"] = "registry" if requests else "local"
    return Scenario(
        name, ("copy", *flags, source, target), group, goal, source="web", written=target, requests=requests
    )


def _packed(name: str, flags: tuple[str, ...], goal: float) -> Scenario:
    arguments = ("copy", *flags, "docker-archive:{images}/web.tar", "oci:{out}:x")
    return Scenario(name, arguments, "local", goal, source="web.tar", written="oci:{out}:x", rehashed=True)
