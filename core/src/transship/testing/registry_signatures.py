"""The extension for simple signatures (``X-Registry-Supports-Signatures: 1``) of the testing registry."""

from __future__ import annotations

import base64
import binascii
import re

from transship.errors import InvalidManifestError
from transship.image.digest import Digest
from transship.image.strict_json import METADATA_LIMIT, load_json_object
from transship.testing.registry_content import Repository, Store
from transship.testing.registry_messages import Refusal, Request, Response, json_response
from transship.testing.registry_routes import Route, digest_in

_NAME = re.compile(r"(.+)@[0-9a-f]{32}")


class Signatures:
    """The endpoint of signatures."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [Route(r"/extensions/v2/(?P<name>.+)/signatures/(?P<last>[^/]+)", {"GET": self._get, "PUT": self._put})]

    def _get(self, request: Request, name: str, last: str) -> Response:
        with self._store.lock:
            repository = self._store.repositories.get(name, Repository())
            held = dict(repository.signatures.get(digest_in(last), {}))
        return json_response({"signatures": [_member(key, content) for key, content in held.items()]})

    def _put(self, request: Request, name: str, last: str) -> Response:
        digest = digest_in(last)
        key, content = _parsed(request.body.read(METADATA_LIMIT), digest)
        with self._store.lock:
            repository = self._store.repository(name)
            if digest not in repository.manifests:
                raise Refusal(404, "MANIFEST_UNKNOWN")
            held = repository.signatures.setdefault(digest, {})
            if key in held:
                raise Refusal(409, "SIGNATURE_EXISTS", "there is a signature of that name")
            held[key] = content
        return Response(201)


def _member(name: str, content: bytes) -> dict[str, object]:
    return {"schemaVersion": 2, "name": name, "type": "atomic", "content": base64.b64encode(content).decode()}


def _parsed(data: bytes, digest: Digest) -> tuple[str, bytes]:
    try:
        members = load_json_object(data, "signature")
        found = _NAME.fullmatch(members["name"])
        content = base64.b64decode(members["content"], validate=True)
    except (InvalidManifestError, KeyError, TypeError, binascii.Error) as error:
        raise Refusal(400, "SIGNATURE_INVALID", str(error)) from None
    is_right = members.get("schemaVersion") == 2 and members.get("type") == "atomic"
    if not is_right or not found or found[1] != str(digest):
        raise Refusal(400, "SIGNATURE_INVALID", "schemaVersion, type or name are wrong")
    return str(members["name"]), content
