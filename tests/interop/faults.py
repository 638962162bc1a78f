"""Everything that goes wrong between a registry and its clients, and the commands that have to live with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from transship.image.digest import digest_of
from transship.testing.images import oci_image
from transship.testing.registry import Fault, Registry
from transship.testing.writers import write_dir

USER, PASSWORD = "user", "hunter2secret"
APP, NEW = "library/app", "library/new"
IMAGE = oci_image()
TAGS = ("v1", "v2")

EVERYWHERE = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
ASKING = ("GET", "HEAD")
CONTINUED = (*ASKING, "POST", "PATCH", "PUT")
"""What is asked again after an answer got lost: what only asks, uploads, and putting a manifest."""
NOWHERE = ()


@dataclass(frozen=True)
class Trouble:
    """A fault, which a command survives if it happens once to a request of the methods ``passes``.

    ``only`` and ``where`` are the methods and paths of requests that can have it. ``forges``: nobody can tell it from
    the truth, so commands whose answer no digest vouches for say what they were told (and inspect tells no tags where
    they may not be listed). ``is_slow``: it is noticed by
    waiting.
    """

    effect: dict[str, Any]
    passes: tuple[str, ...] = NOWHERE
    only: tuple[str, ...] = EVERYWHERE
    where: str = "*"
    forges: bool = False
    is_slow: bool = False

    def can_hit(self, method: str, path: str) -> bool:
        return method in self.only and fnmatchcase(path, self.where)

    def fault(self, method: str, path: str, times: int | None) -> Fault:
        return Fault(path, method, times=times, **self.effect)


def status(code: int, **headers: str) -> dict[str, Any]:
    return {"status": code, "headers": headers}


WRONG_DIGEST = f"sha256:{'0' * 64}"
GOES_ON = {"headers": {"Content-Range": "bytes 5-9/1000"}, "status": 206}

TROUBLES: dict[str, Trouble] = {
    # What passes, and is tried again: the table of "What is tried again" in docs/reference/transports.md.
    "cut before the first byte": Trouble({"cut_after": 0}, CONTINUED),
    "cut in the middle": Trouble({"cut_after": 7}, CONTINUED),
    "answer lost": Trouble({"drop_response": True}, CONTINUED),
    "request dropped": Trouble({"drop_request_after": 1}, ("PATCH", "PUT"), only=("PATCH", "PUT")),
    "request not taken": Trouble({"stall_request_after": 1}, ("PATCH", "PUT"), only=("PATCH", "PUT")),
    "silence at once": Trouble({"delay": 60}, CONTINUED, is_slow=True),
    "silence in the middle": Trouble({"stall_after": 5}, CONTINUED, is_slow=True),
    "silence before the body": Trouble({"stall_after": 0}, CONTINUED, is_slow=True),
    "408": Trouble(status(408), CONTINUED),
    "429": Trouble(status(429), EVERYWHERE),
    "429 with Retry-After": Trouble(status(429, **{"Retry-After": "0"}), EVERYWHERE),
    "500": Trouble(status(500), CONTINUED),
    "502": Trouble(status(502), CONTINUED),
    "503": Trouble(status(503), EVERYWHERE),
    "503 with Retry-After": Trouble(status(503, **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), EVERYWHERE),
    "504": Trouble(status(504), CONTINUED),
    "Content-Length too big": Trouble({"headers": {"Content-Length": "100000"}}, ASKING, only=("GET",)),
    "a token that expired": Trouble(status(401), EVERYWHERE, where="/v2/*"),
    # What does no harm.
    "no Content-Length": Trouble({"headers": {"Content-Length": None}}, EVERYWHERE, only=(*ASKING, "PUT", "DELETE")),
    "Range ignored": Trouble({"ignore_range": True}, EVERYWHERE),
    "slow headers": Trouble({"header_delay": 0.02}, EVERYWHERE),
    # What another try cannot change.
    "400": Trouble(status(400)),
    "403": Trouble(status(403), forges=True),
    "404": Trouble(status(404)),
    "flipped bit": Trouble({"flipped": 9}, forges=True),
    "Content-Length too small": Trouble({"headers": {"Content-Length": "9"}}, only=("GET",)),
    "JSON cut short": Trouble({"truncated": 9}),
    "another content": Trouble({"body": b'{"schemaVersion":2,"name":"x","tags":["v3"],"token":"x"}'}, forges=True),
    "another digest": Trouble({"headers": {"Docker-Content-Digest": WRONG_DIGEST}}),
    "a part that nobody asked for": Trouble(GOES_ON, only=ASKING),
    "redirect to another port": Trouble({"redirect": "{elsewhere}{target}"}),
    "redirect to another host": Trouble({"redirect": "http://localhost.localdomain:1{target}"}),
    "redirect to another scheme": Trouble({"redirect": "https://{host}{target}"}),
    "redirects in a circle": Trouble({"redirect": "{url}{target}"}),
    "Location elsewhere": Trouble({"headers": {"Location": "{elsewhere}{path}"}}, only=("POST", "PATCH")),
    "compressed on the way": Trouble({"gzip": True}),
    "endless body": Trouble({"endless": True}),
    "endless pages": Trouble({"endless_pages": True}, where="*/tags/list", forges=True),
}


@dataclass
class Scene:
    """A registry that wants to know who asks, and a folder with what a command reads and writes."""

    folder: Path
    registry: Registry = field(default_factory=lambda: Registry(auth="bearer", users={USER: PASSWORD}))

    def __post_init__(self) -> None:
        for tag in TAGS:
            self.registry.put_image(APP, tag, IMAGE)
        (self.folder / "place").mkdir(parents=True)
        write_dir(IMAGE, self.folder / "source")

    def close(self) -> None:
        self.registry.close()

    def path(self, name: str) -> Path:
        return self.folder / "place" / name

    def normalized(self, text: str) -> str:
        """What a command said, without what differs from scene to scene."""
        return text.replace(self.registry.host, "HOST").replace(str(self.folder), "FOLDER")


@dataclass(frozen=True)
class Verb:
    """A command. ``done`` tells whether it did its work, ``shows`` that its output must be right; no digest vouches
    for it where ``vouched`` is False.
    """

    arguments: Callable[[Scene], list[str]]
    done: Callable[[Scene], bool] = lambda scene: True
    vouched: bool = True


IN, OUT = ["--src-tls-verify=false"], ["--dest-tls-verify=false"]
WHO = f"creds={USER}:{PASSWORD}"


def app(scene: Scene) -> str:
    return f"docker://{scene.registry.host}/{APP}"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_copied(scene: Scene, *names: str) -> bool:
    return all(files(scene.path(name)) == files(scene.folder / "source") for name in names)


def is_pushed(scene: Scene, repository: str = NEW) -> bool:
    """Whether the image is there; with its tag it must be whole."""
    tags = scene.registry.tags[repository]
    if not tags:
        return False
    assert set(tags.values()) == {digest_of(IMAGE.manifest)}
    assert IMAGE.blobs.keys() <= scene.registry.blobs[repository].keys()
    return True


def is_logged_in(scene: Scene) -> bool:
    file = scene.path("auth.json")
    return file.exists() and scene.registry.host in file.read_text()


VERBS: dict[str, Verb] = {
    "inspect": Verb(lambda scene: ["inspect", "--tls-verify=false", f"--{WHO}", f"{app(scene)}:v1"]),
    "list-tags": Verb(lambda scene: ["list-tags", "--tls-verify=false", f"--{WHO}", app(scene)], vouched=False),
    "delete": Verb(
        lambda scene: ["delete", "--tls-verify=false", f"--{WHO}", f"{app(scene)}:v1"],
        lambda scene: not scene.registry.tags[APP],
    ),
    "copy from": Verb(
        lambda scene: ["copy", *IN, f"--src-{WHO}", f"{app(scene)}:v1", f"dir:{scene.path('new')}"],
        lambda scene: is_copied(scene, "new"),
    ),
    "copy to": Verb(
        lambda scene: [
            *("copy", *OUT, f"--dest-{WHO}", f"dir:{scene.folder}/source"),
            f"docker://{scene.registry.host}/{NEW}:v1",
        ],
        is_pushed,
    ),
    "sync": Verb(
        lambda scene: [
            *("sync", *IN, f"--src-{WHO}", "--src=docker", "--dest=dir"),
            *(f"{scene.registry.host}/{APP}", str(scene.path("tree"))),
        ],
        lambda scene: is_copied(scene, *(f"tree/app:{tag}" for tag in TAGS)),
        vouched=False,
    ),
    "sync to": Verb(
        lambda scene: [
            *("sync", *OUT, f"--dest-{WHO}", "--src=dir", "--dest=docker"),
            *(str(scene.folder / "source"), f"{scene.registry.host}/library"),
        ],
        lambda scene: is_pushed(scene, "library/source"),
    ),
    "login": Verb(
        lambda scene: [
            *("login", "--tls-verify=false", f"--username={USER}", f"--password={PASSWORD}"),
            *(f"--authfile={scene.path('auth.json')}", scene.registry.host),
        ],
        is_logged_in,
        vouched=False,
    ),
    "verify": Verb(lambda scene: ["verify", "--tls-verify=false", f"--{WHO}", f"{app(scene)}:v1"]),
}


def kinds_of_requests(registry: Registry) -> Iterator[tuple[str, str]]:
    """Which requests were made, as methods and patterns of paths, each once."""
    seen = set()
    for request in registry.requests:
        path = re.sub(r"(/blobs/uploads/).+", r"\1*", request.path)
        if request.status and (request.method, path) not in seen:
            seen.add((request.method, path))
            yield request.method, path
