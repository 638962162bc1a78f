"""Registries that lie, stall, break off, lure credentials away, or answer without end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transship.image.media_types import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.testing.images import oci_image, oci_index
from transship.testing.registry import Fault, Registry

USER, PASSWORD, IDENTITY = "user", "hunter2secret", "identity-long-lived-secret"
APP = "library/app"
IMAGE = oci_image()
INDEX = oci_index()
CONFIG, LAYER, *_ = (f"/v2/{APP}/blobs/{digest}" for digest in IMAGE.blobs)
MANIFESTS, TAGS = f"/v2/{APP}/manifests/*", f"/v2/{APP}/tags/list"
PUSHED, UPLOADS = "/v2/library/new/manifests/*", "/v2/library/new/blobs/uploads/*"
ESCAPES = b'{"errors":[{"code":"DENIED","message":"\\u001b[2J\\u0007\\nlevel=fatal"}]}'
UNKNOWN = ESCAPES.replace(b"DENIED", b"MANIFEST_UNKNOWN")
DEEP = b"[" * 200_000
HUGE_NUMBER = b"9" * 200_000
MIB = 1 << 20

Prepare = Callable[[Registry, Registry], None]
"""Makes a registry hostile. The second one is a thief to whom credentials may be lured."""


@dataclass(frozen=True)
class Case:
    """A registry that is asked by each of ``commands``, which end with ``code``.

    ``raw`` answers instead of a registry: it gets the connection after the head of a request was read.
    ``has_identity_token``: the user has one, and no password.
    """

    commands: tuple[str, ...]
    prepare: Prepare = lambda registry, thief: None
    code: int = 1
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    raw: Callable[[socket.socket], None] | None = None
    has_identity_token: bool = False


def faulty(*faults: Fault) -> Prepare:
    def prepare(registry: Registry, thief: Registry) -> None:
        for fault in faults:
            registry.add_fault(fault)

    return prepare


def lured(path: str, method: str = "*") -> Prepare:
    """Requests are sent to the thief."""

    def prepare(registry: Registry, thief: Registry) -> None:
        registry.add_fault(Fault(path, method, redirect=f"{thief.url}{{target}}"))

    return prepare


def challenged(*challenges: str) -> Prepare:
    extra = tuple(("WWW-Authenticate", challenge) for challenge in challenges)
    return faulty(Fault("/v2/*", status=401, headers={"WWW-Authenticate": None}, extra_headers=extra))


def refusal(body: bytes, **more: Any) -> Case:
    return Case(READ, faulty(Fault(MANIFESTS, status=403, body=body, **more)))


def blob(**what: Any) -> Case:
    return Case(("copy from",), faulty(Fault(LAYER, "GET", **what)))


def upload(method: str, **what: Any) -> Case:
    return Case(("copy to",), faulty(Fault(UPLOADS, method, **what)))


def cut_upload(offset: str) -> Case:
    """Each upload breaks off, and what the registry says it has of it is ``offset``."""
    where = Fault(UPLOADS, "GET", headers={"Range": offset})
    return Case(("copy to",), faulty(Fault(UPLOADS, "PATCH", drop_request_after=1), where))


def push(**what: Any) -> Case:
    return Case(("copy to",), faulty(Fault(PUSHED, "PUT", **what)))


def tags(body: bytes, **more: Any) -> Case:
    return Case(("list-tags",), faulty(Fault(TAGS, body=body, **more)))


def delete(**what: Any) -> Case:
    return Case(("delete",), faulty(Fault(MANIFESTS, "DELETE", **what)))


def token(body: bytes, **more: Any) -> Case:
    return Case(("inspect",), faulty(Fault("/token", body=body, **more)), behaviour={"auth": "bearer"})


def manifest(data: bytes, media_type: str = OCI_MANIFEST, *commands: str) -> Case:
    def prepare(registry: Registry, thief: Registry) -> None:
        registry.put_manifest(APP, "v1", data, media_type)

    return Case(commands or ("copy from", "inspect"), prepare)


def changed(**members: Any) -> bytes:
    return json.dumps({**json.loads(IMAGE.manifest), **members}).encode()


def layer(**members: Any) -> bytes:
    descriptor = {"mediaType": OCI_LAYER_GZIP, "digest": f"sha256:{'0' * 64}", "size": 3}
    return changed(layers=[{**descriptor, **members}])


def with_config(config: bytes) -> Case:
    def prepare(registry: Registry, thief: Registry) -> None:
        digest = registry.put_blob(APP, config)
        descriptor = {"mediaType": OCI_CONFIG, "digest": str(digest), "size": len(config)}
        registry.put_manifest(APP, "v1", changed(config=descriptor), OCI_MANIFEST)

    return Case(("inspect",), prepare)


def signatures(**what: Any) -> Case:
    fault = Fault("/extensions/v2/*", **what)
    return Case(("copy from",), faulty(fault), behaviour={"signatures_extension": True})


def with_foreign_layer(thief_path: str) -> Case:
    def prepare(registry: Registry, thief: Registry) -> None:
        data = changed(
            layers=[
                {
                    "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                    "digest": f"sha256:{'0' * 64}",
                    "size": 3,
                    "urls": [f"{thief.url}{thief_path}", "file:///etc/passwd", "gopher://127.0.0.1/x"],
                }
            ]
        )
        registry.put_manifest(APP, "v1", data, OCI_MANIFEST)

    return Case(("copy from",), prepare)


def lacks_instances(registry: Registry, thief: Registry) -> None:
    registry.put_manifest(APP, "v1", INDEX.manifest, OCI_INDEX)
    registry.add_fault(Fault(f"/v2/{APP}/manifests/sha256*", status=404, body=UNKNOWN))


def changes_in_the_middle(registry: Registry, thief: Registry) -> None:
    registry.add_fault(Fault(LAYER, "GET", cut_after=100, times=1))
    registry.add_fault(Fault(LAYER, "GET", ignore_range=True, flipped=3, headers={"ETag": '"another"'}))


def sent_to_a_thief(registry: Registry, thief: Registry) -> None:
    there = f"{thief.url}/v2/library/new/blobs/uploads/1?a=b"
    registry.add_fault(Fault(UPLOADS, "POST", headers={"Location": there}))


def sends(data: bytes, *, endless: bool = False) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(data)
        while endless:
            connection.sendall(data[-1000:])

    return send


def trickles(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def trickles_between_pieces(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


READ = ("inspect", "copy from")
COMMANDS = ("inspect", "list-tags", "delete", "copy from", "copy to", "login")

CASES: dict[str, Case] = {
    # The first answer.
    "ping: 500 with escapes": Case(COMMANDS, faulty(Fault("/v2/", status=500, body=ESCAPES))),
    "ping: 403 with escapes": Case(COMMANDS, faulty(Fault("/v2/", status=403, body=ESCAPES))),
    "ping: no such status": Case(("inspect",), faulty(Fault("/v2/", status=999))),
    "ping: 404": Case(("list-tags",), faulty(Fault("/v2/", status=404))),
    "ping: endless body": Case(("delete",), faulty(Fault("/v2/", status=500, endless=True))),
    "ping: body trickles": Case(("login",), raw=trickles),
    "ping: length of a piece trickles": Case(("inspect",), raw=trickles_between_pieces),
    "ping: stalls": Case(("inspect", "login"), faulty(Fault("/v2/", delay=100))),
    "ping: headers trickle": Case(("copy to",), faulty(Fault("/v2/", header_delay=0.2))),
    "ping: redirects without end": Case(("login",), faulty(Fault("/v2/*", redirect="{url}{target}"))),
    "ping: redirect to a file": Case(COMMANDS, faulty(Fault("/v2/", redirect="file:///etc/passwd"))),
    "ping: redirect to gopher": Case(("list-tags",), faulty(Fault("/v2/", redirect="gopher://{host}/"))),
    "ping: redirect to nowhere": Case(("delete",), faulty(Fault("/v2/", redirect="http://[::1"))),
    "ping: redirect with escapes": Case(("inspect",), faulty(Fault("/v2/", redirect="{url}/v2/\x9b2J", times=2))),
    "ping: comes back in vain": Case(
        ("copy to",), faulty(Fault("/v2/", status=429, headers={"Retry-After": "9" * 30}))
    ),
    "ping: no HTTP": Case(COMMANDS, raw=sends(b"220 smtp.example.org ESMTP\r\n")),
    "ping: ends at once": Case(("inspect", "login"), raw=sends(b"")),
    "ping: half a head": Case(("list-tags",), raw=sends(b"HTTP/1.1 200 OK\r\nContent-Le")),
    "ping: endless head": Case(("inspect",), raw=sends(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000, endless=True)),
    "ping: endless header": Case(("copy from",), raw=sends(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1000, endless=True)),
    "ping: to be continued without end": Case(
        ("inspect",), raw=sends(b"HTTP/1.1 100 Continue\r\n\r\n" * 40, endless=True)
    ),
    "ping: another protocol": Case(
        ("inspect",), raw=sends(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nx")
    ),
    "ping: reason with escapes": Case(
        ("list-tags",), raw=sends(b"HTTP/1.1 500 \x1b[2J\x07\x9b\r\nContent-Length: 0\r\n\r\n")
    ),
    "ping: two lengths": Case(
        ("delete",), raw=sends(b"HTTP/1.1 500 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx")
    ),
    "ping: negative length": Case(("login",), raw=sends(b"HTTP/1.1 500 OK\r\nContent-Length: -1\r\n\r\nx")),
    "ping: absurd length": Case(
        ("inspect",), raw=sends(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx")
    ),
    "ping: broken chunks": Case(
        ("inspect",), raw=sends(b"HTTP/1.1 500 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n")
    ),
    # Who are you?
    "challenge: none": Case(COMMANDS, challenged()),
    "challenge: unknown": Case(("inspect",), challenged("Negotiate", "Digest realm=x")),
    "challenge: open quote": Case(("list-tags",), challenged('Bearer realm="http://127.0.0.1')),
    "challenge: long": Case(("delete",), challenged(f'Bearer realm="{"a" * 60_000}"')),
    "challenge: many": Case(("inspect",), challenged(*["Bearer a=b"] * 500)),
    "challenge: no realm": Case(("copy from",), challenged("Bearer service=x")),
    "challenge: never enough": Case(COMMANDS, faulty(Fault("/v2/*", status=401)), behaviour={"auth": "bearer"}),
    "realm: a file": Case(COMMANDS, challenged('Bearer realm="file:///etc/passwd"')),
    "realm: with a password": Case(("login",), challenged('Bearer realm="http://a:b@127.0.0.1/token"')),
    "realm: with escapes": Case(("inspect",), challenged('Bearer realm="gopher://\x9b2J/"')),
    "realm: in another private network": Case(COMMANDS, challenged('Bearer realm="http://10.255.255.1/token"')),
    "realm: leads to a thief": Case(COMMANDS, lured("/token"), behaviour={"auth": "bearer"}),
    "realm: leads to a thief with an identity token": Case(
        ("inspect",), lured("/token"), behaviour={"auth": "bearer"}, has_identity_token=True
    ),
    "token: no JSON": token(b"<html>"),
    "token: a list": token(b'["a"]'),
    "token: a number": token(b'{"token":1}'),
    "token: empty": token(b'{"token":""}'),
    "token: with a line end": token(b'{"token":"a\\r\\nX-Injected: b"}'),
    "token: not ASCII": token(b'{"token":"\\u00e9"}'),
    "token: half a character": token(b'{"token":"\\ud800"}'),
    "token: deep": token(DEEP),
    "token: huge number": token(b'{"token":"a","expires_in":' + HUGE_NUMBER + b"}"),
    "token: endless": token(b"{", endless=True),
    "token: stalls": token(b"{}", stall_after=1),
    "token: 404": token(ESCAPES, status=404),
    "token: 500 with escapes": token(ESCAPES, status=500),
    # What image?
    "manifest: 500 with escapes": Case(READ, faulty(Fault(MANIFESTS, status=500, body=ESCAPES))),
    "manifest: unknown, with escapes": Case(READ, faulty(Fault(MANIFESTS, status=404, body=UNKNOWN)), code=2),
    "manifest: endless": Case(READ, faulty(Fault(MANIFESTS, endless=True))),
    "manifest: stalls": Case(READ, faulty(Fault(MANIFESTS, stall_after=10))),
    "manifest: cut": Case(("copy from",), faulty(Fault(MANIFESTS, cut_after=10))),
    "manifest: short": Case(("inspect",), faulty(Fault(MANIFESTS, truncated=10))),
    "manifest: flipped": Case(READ, faulty(Fault(MANIFESTS, flipped=10))),
    "manifest: compressed": Case(READ, faulty(Fault(MANIFESTS, gzip=True))),
    "manifest: another digest": Case(
        READ, faulty(Fault(MANIFESTS, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}))
    ),
    "manifest: lured away": Case((*READ, "delete"), lured(MANIFESTS)),
    "manifest: empty": manifest(b""),
    "manifest: 5 MiB": manifest(changed(annotations={"a": "x" * (5 * MIB)})),
    "manifest: a million layers": manifest(changed(layers=0).replace(b" 0", b" [" + b"{}," * MIB + b"{}]")),
    "manifest: a million instances": manifest(b'{"schemaVersion":2,"manifests":[' + b"{}," * MIB + b"{}]}", OCI_INDEX),
    "manifest: no JSON": manifest(b"<html>"),
    "manifest: deep": manifest(DEEP),
    "manifest: huge number": manifest(b'{"schemaVersion":' + HUGE_NUMBER + b"}"),
    "manifest: twice the same member": manifest(IMAGE.manifest[:-1] + b',"layers":[]}'),
    "manifest: index and image": manifest(changed(manifests=[])),
    "manifest: another type inside": manifest(IMAGE.manifest, DOCKER_MANIFEST),
    "manifest: no UTF-8": manifest(b'{"a":"\xff"}'),
    "manifest: digest is a path": manifest(layer(digest="sha256:../../../../etc/passwd")),
    "manifest: digest of nothing known": manifest(layer(digest="md5:" + "0" * 32)),
    "manifest: negative size": manifest(layer(size=-1)),
    "manifest: size as text": manifest(layer(size="3")),
    "manifest: size beyond reason": manifest(layer(size=10**40)),
    "manifest: layers are no list": manifest(changed(layers={"a": 1})),
    "manifest: config is no object": manifest(changed(config=[])),
    "index: instance missing": Case(READ, lacks_instances, code=2),
    "index: instances are no list": manifest(b'{"schemaVersion":2,"manifests":{"a":1}}', OCI_INDEX),
    "refusal: deep": refusal(DEEP),
    "refusal: huge number": refusal(b'{"errors":[' + HUGE_NUMBER + b"]}"),
    "refusal: half a character": refusal(b'{"errors":[{"code":"DENIED","message":"\\ud800"}]}'),
    "refusal: a million letters": refusal(b'{"errors":[{"code":"DENIED","message":"' + b"a" * 1_000_000 + b'"}]}'),
    "refusal: odd members": refusal(b'{"errors":[{"code":["DENIED"],"message":{"a":1}}],"details":5}'),
    "refusal: compressed": refusal(ESCAPES, gzip=True),
    "refusal: endless": refusal(b"{", endless=True),
    "refusal: stalls": refusal(b"{}", stall_after=1),
    "config: no JSON": with_config(b"<html>"),
    "config: deep": with_config(DEEP),
    "config: a list": with_config(b"[]"),
    "config: huge number": with_config(b'{"os":' + HUGE_NUMBER + b"}"),
    "config: 5 MiB": with_config(json.dumps({"architecture": "amd64", "os": "linux", "a": "x" * 5 * MIB}).encode()),
    "config: flipped": Case(READ, faulty(Fault(CONFIG, "GET", flipped=30))),
    "config: endless": Case(READ, faulty(Fault(CONFIG, "GET", endless=True))),
    "signatures: endless": signatures(endless=True),
    "signatures: no JSON": signatures(body=b"<html>"),
    "signatures: deep": signatures(body=DEEP),
    "signatures: no list": signatures(body=b'{"signatures":{"a":1}}'),
    "signatures: stall": signatures(stall_after=1),
    # What bytes?
    "blob: 404": blob(status=404),
    "blob: 500 with escapes": blob(status=500, body=ESCAPES),
    "blob: 403 with escapes": blob(status=403, body=ESCAPES),
    "blob: nothing at all": blob(status=204),
    "blob: a part that nobody asked for": blob(status=206),
    "blob: flipped": blob(flipped=30),
    "blob: short": blob(truncated=30),
    "blob: long": blob(body=bytes(MIB)),
    "blob: endless": blob(endless=True),
    "blob: cut always": blob(cut_after=0),
    "blob: creeps": blob(cut_after=1),
    "blob: cut, ranges unknown": blob(cut_after=40, ignore_range=True),
    "blob: cut, another range": blob(cut_after=40, headers={"Content-Range": "bytes 0-1/9"}),
    "blob: stalls": blob(stall_after=10),
    "blob: changes in the middle": Case(("copy from",), changes_in_the_middle),
    "blob: compressed again": blob(gzip=True),
    "blob: redirect to a file": blob(redirect="file:///etc/passwd"),
    "blob: redirects without end": blob(redirect="{url}{path}"),
    "blob: lured away": Case(("copy from",), lured(LAYER, "GET")),
    "blob: elsewhere, by a thief": with_foreign_layer("/v2/x/blobs/y"),
    # Here you are.
    "upload: no place": upload("POST", headers={"Location": None}),
    "upload: into a file": upload("POST", headers={"Location": "file:///etc/passwd"}),
    "upload: to nowhere": upload("POST", headers={"Location": "http://[::1"}),
    "upload: to a thief": Case(("copy to",), sent_to_a_thief),
    "upload: redirected to a thief": Case(("copy to",), lured(UPLOADS, "POST")),
    "upload: redirected to a thief in the middle": Case(("copy to",), lured(UPLOADS, "PATCH")),
    "upload: redirected to a thief at the end": Case(("copy to",), lured(UPLOADS, "PUT")),
    "upload: 500 at the start": upload("POST", status=500, body=ESCAPES),
    "upload: 201 at the start": upload("POST", status=201),
    "upload: 500 in the middle": upload("PATCH", status=500),
    "upload: 401 in the middle": upload("PATCH", status=401),
    "upload: 404 in the middle": upload("PATCH", status=404),
    "upload: 413 always": Case(("copy to",), behaviour={"upload_limit": 10}),
    "upload: cut always": upload("PATCH", drop_request_after=0),
    "upload: cut, more is there than was sent": cut_upload("0-99999999999999999"),
    "upload: cut, the offset creeps": cut_upload("0-{count}"),
    "upload: cut, the offset is nonsense": cut_upload("\x9b-1"),
    "upload: stalls": upload("PATCH", stall_request_after=0),
    "upload: stalls at the end": upload("PUT", delay=100),
    "upload: another digest": upload("PUT", headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}),
    "upload: refused at the end": upload("PUT", status=400, body=ESCAPES),
    "upload: endless refusal": upload("PUT", status=400, endless=True),
    "upload: chunks beyond memory": Case(
        ("copy to",),
        faulty(
            Fault(UPLOADS, "POST", extra_headers=(("OCI-Chunk-Min-Length", "9" * 15),)),
            Fault(UPLOADS, "PATCH", status=413),
        ),
    ),
    "push: 500": push(status=500, body=ESCAPES),
    "push: stalls": push(delay=100),
    "push: refused": push(status=403, body=ESCAPES),
    "push: no type is liked": Case(("copy to",), behaviour={"manifest_types": ()}),
    "push: another digest": push(headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}),
    "push: lured away": Case(("copy to",), lured(PUSHED, "PUT")),
    "push: cut always": push(drop_response=True, status=500),
    # What tags?
    "tags: endless pages": Case(("list-tags",), faulty(Fault(TAGS, endless_pages=True))),
    "tags: the same page": Case(("list-tags",), faulty(Fault(TAGS, headers={"Link": "<{path}?n=1>; rel=next"}))),
    "tags: endless": tags(b'{"tags":["', endless=True),
    "tags: no JSON": tags(b"<html>"),
    "tags: deep": tags(DEEP),
    "tags: two million": tags(b'{"tags":[' + b'"a",' * 2_000_000 + b'"a"]}'),
    "tags: half a million objects": tags(b'{"tags":[' + b'{"":1},' * 500_000 + b"1]}"),
    "tags: numbers": tags(b'{"tags":[1]}'),
    "tags: with escapes": tags(b'{"tags":["\\u001b[2J"]}'),
    "tags: half a character": tags(b'{"tags":["\\ud800"]}'),
    "tags: lured away": Case(("list-tags",), lured(TAGS)),
    "tags: refused": tags(ESCAPES, status=403),
    # Away with it.
    "delete: not allowed": Case(("delete",), behaviour={"delete_enabled": False}),
    "delete: 500": delete(status=500, body=ESCAPES),
    "delete: 200": delete(status=200),
    "delete: stalls": delete(delay=100),
    "delete: cut": delete(drop_response=True, status=500),
    "delete: lured away": Case(("delete",), lured(MANIFESTS, "DELETE")),
    "delete: endless refusal": delete(status=405, endless=True),
}


class RawServer:
    """Lets ``answer`` have each connection after the head of a request came."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            head = b""
            while b"\r\n\r\n" not in head and (data := connection.recv(1 << 16)):
                head += data
                if head[:1] == b"\x16":  # TLS is spoken
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    return
            self._answer(connection)
