"""Lists of the testing registry: tags, repositories, referrers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from transship.image.digest import Digest
from transship.image.media_types import OCI_INDEX
from transship.image.strict_json import load_json_object
from transship.testing.registry_content import Repository, Store, StoredManifest
from transship.testing.registry_manifests import subject_of
from transship.testing.registry_messages import Headers, Refusal, Request, Response, json_response
from transship.testing.registry_routes import Behaviour, Route, digest_in

_Item = TypeVar("_Item")


class Listings:
    """The endpoints that list, in pages of ``Behaviour.page_size`` (0: as many as are asked for)."""

    def __init__(self, store: Store, behaviour: Behaviour) -> None:
        self._store, self._behaviour = store, behaviour

    def routes(self) -> list[Route]:
        """What is answered here."""
        routes = [
            Route(r"/v2/_catalog", {"GET": self._catalog}),
            Route(r"/v2/(?P<name>.+)/tags/list", {"GET": self._tags}),
        ]
        referrers = Route(r"/v2/(?P<name>.+)/referrers/(?P<last>[^/]+)", {"GET": self._referrers})
        return [*routes, referrers] if self._behaviour.referrers else routes

    def _catalog(self, request: Request, name: str, last: str) -> Response:
        with self._store.lock:
            names = sorted(name for name, repository in self._store.repositories.items() if repository.manifests)
        page, link = self._page(request, names, names)
        return json_response({"repositories": page}, headers=link)

    def _tags(self, request: Request, name: str, last: str) -> Response:
        with self._store.lock:
            repository = self._store.repositories.get(name)
            if repository is None:
                raise Refusal(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
            tags = sorted(repository.tags)
        page, link = self._page(request, tags, tags)
        return json_response({"name": name, "tags": page}, headers=link)

    def _referrers(self, request: Request, name: str, last: str) -> Response:
        digest, wanted = digest_in(last), request.parameter("artifactType")
        with self._store.lock:
            repository = self._store.repositories.get(name, Repository())
            found = referrers_of(repository, digest)
        found = [descriptor for descriptor in found if wanted in ("", descriptor["artifactType"])]
        page, headers = self._page(request, found, [descriptor["digest"] for descriptor in found])
        headers |= {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        answer = json_response({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page})
        answer.headers = Headers({"Content-Type": OCI_INDEX, **headers})
        return answer

    def _page(
        self, request: Request, items: Sequence[_Item], names: Sequence[str]
    ) -> tuple[list[_Item], dict[str, str]]:
        """The items after the one that is named ``last``, and the link to what follows them."""
        after = request.parameter("last")
        left = [(item, name) for item, name in zip(items, names, strict=True) if name > after]
        limit = self._limit(request)
        page = left if limit is None else left[:limit]
        if not page or len(page) == len(left):
            return [item for item, _ in page], {}
        query = {name: values[0] for name, values in request.query.items()} | {"n": limit, "last": page[-1][1]}
        return [item for item, _ in page], {"Link": f'<{request.path}?{urlencode(query)}>; rel="next"'}

    def _limit(self, request: Request) -> int | None:
        asked, own = request.parameter("n"), self._behaviour.page_size
        if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 10):
            raise Refusal(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
        limits = ([int(asked)] if asked else []) + ([own] if own else [])
        return min(limits, default=None)


def referrers_of(repository: Repository, subject: Digest) -> list[dict[str, Any]]:
    """The descriptors of all manifests with that subject, by digest."""
    held = sorted(repository.manifests.items())
    return [_descriptor(digest, stored) for digest, stored in held if subject_of(stored) == str(subject)]


def _descriptor(digest: Digest, manifest: StoredManifest) -> dict[str, Any]:
    members = load_json_object(manifest.data, "manifest")
    artifact_type = members.get("artifactType") or (members.get("config") or {}).get("mediaType") or ""
    descriptor = {
        "mediaType": manifest.media_type,
        "digest": str(digest),
        "size": len(manifest.data),
        "artifactType": artifact_type,
    }
    annotations = members.get("annotations")
    return descriptor | ({"annotations": annotations} if annotations else {})
