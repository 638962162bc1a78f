"""An OCI distribution registry inside the test's own process: strict, and able to go wrong on purpose.

    with Registry() as registry:
        registry.put_image("library/app", "v1", oci_image())
        registry.add_fault(Fault("/v2/*/blobs/*", "GET", cut_after=100, times=1))
        ...  # talk to registry.host
        assert registry.tags["library/app"] == {"v1": image.digest}

It listens on 127.0.0.1 only, keeps what is small in memory and the rest in a temporary folder, and is gone
when it is closed.
"""

from __future__ import annotations

import shutil
import ssl
import tempfile
import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from transship.testing.registry_access import TOKEN_PATH, Access, Allowed, BasicAccess, BearerAccess
from transship.testing.registry_blobs import Blobs
from transship.testing.registry_content import Content, Store, StoredManifest
from transship.testing.registry_faults import Fault
from transship.testing.registry_inventory import Inventory
from transship.testing.registry_listener import Listener
from transship.testing.registry_listings import Listings
from transship.testing.registry_manifests import Manifests
from transship.testing.registry_messages import RequestRecord
from transship.testing.registry_routes import Behaviour, Route
from transship.testing.registry_service import RegistryService
from transship.testing.registry_signatures import Signatures
from transship.testing.registry_uploads import Uploads

__all__ = ["Content", "Fault", "Registry", "RequestRecord", "StoredManifest"]


class Registry(Inventory):
    """A registry that answers from its creation until ``close``.

    ``tls`` are the files of a certificate and its key; ``client_ca`` those who must have signed the
    certificates of clients. ``port`` 0 takes a free one.

    ``auth`` is who must say who they are: nobody (None), everybody with ``users``' passwords (``"basic"``), or
    with tokens from ``/token`` (``"bearer"``). ``anonymous`` are the actions (pull, push, delete) that need no
    user; ``allowed(user, repository, action)`` replaces the rule that users may do everything. Tokens live for
    ``token_lifetime`` seconds, whatever ``claimed_lifetime`` says of them, under each of the names in
    ``token_members``; ``identity_tokens`` are refresh tokens and their users.

    All else is the ``Behaviour``, by keyword: ``referrers`` (the API, and OCI-Subject), ``delete_enabled`` and
    ``delete_tags``, ``page_size`` of lists, ``schema1`` and ``manifest_types`` that are accepted,
    ``sparse_indexes`` whose instances are missing, the ``signatures_extension``, ``mount`` and
    ``mount_anywhere`` (without ``from``), ``monolithic`` (one POST), ``min_chunk`` (OCI-Chunk-Min-Length),
    ``keeps_cut_uploads`` (False: an upload whose request was cut is lost), ``upload_limit``, ``blob_redirect``
    to a second origin that refuses Authorization, ``absolute_locations`` of uploads.
    """

    def __init__(
        self,
        *,
        tls: tuple[str | Path, str | Path] | None = None,
        client_ca: str | Path | None = None,
        port: int = 0,
        auth: Literal["basic", "bearer"] | None = None,
        users: Mapping[str, str] | None = None,
        anonymous: Collection[str] = (),
        allowed: Allowed | None = None,
        token_lifetime: float = 300.0,
        claimed_lifetime: float | None = None,
        token_members: Iterable[str] = ("token", "access_token"),
        identity_tokens: Mapping[str, str] | None = None,
        referrers: bool = True,
        delete_enabled: bool = True,
        delete_tags: bool = True,
        page_size: int = 0,
        schema1: bool = True,
        manifest_types: Collection[str] | None = None,
        sparse_indexes: bool = False,
        signatures_extension: bool = False,
        mount: bool = True,
        mount_anywhere: bool = False,
        monolithic: bool = True,
        min_chunk: int = 0,
        keeps_cut_uploads: bool = True,
        upload_limit: int = 4 << 30,
        blob_redirect: bool = False,
        absolute_locations: bool = False,
    ) -> None:
        behaviour = Behaviour(
            referrers=referrers,
            delete_enabled=delete_enabled,
            delete_tags=delete_tags,
            page_size=page_size,
            schema1=schema1,
            manifest_types=None if manifest_types is None else frozenset(manifest_types),
            sparse_indexes=sparse_indexes,
            signatures_extension=signatures_extension,
            mount=mount,
            mount_anywhere=mount_anywhere,
            monolithic=monolithic,
            min_chunk=min_chunk,
            keeps_cut_uploads=keeps_cut_uploads,
            upload_limit=upload_limit,
            blob_redirect=blob_redirect,
            absolute_locations=absolute_locations,
        )
        self._tls = _server_context(tls, client_ca)
        self._elsewhere: Listener | None = None
        self._lock = threading.Lock()
        self._listener = Listener(self._tls, port)
        self._folder = Path(tempfile.mkdtemp(prefix="transship-registry-"))
        super().__init__(Store(self._folder))
        self._access = self._new_access(
            auth,
            users or {},
            allowed or (lambda user, _, action: bool(user) or action in anonymous),
            token_lifetime,
            token_lifetime if claimed_lifetime is None else claimed_lifetime,
            token_members,
            identity_tokens or {},
        )
        routes = self._routes(behaviour)
        self._service = RegistryService(
            self.url, lambda: self.elsewhere, self._access, routes, signatures=signatures_extension
        )
        self._listener.start(self._service)

    def _new_access(
        self,
        auth: Literal["basic", "bearer"] | None,
        users: Mapping[str, str],
        allowed: Allowed,
        lifetime: float,
        claimed_lifetime: float,
        token_members: Iterable[str],
        identity_tokens: Mapping[str, str],
    ) -> Access:
        if auth == "basic":
            return BasicAccess(users, allowed)
        if auth == "bearer":
            return BearerAccess(
                f"{self.url}{TOKEN_PATH}",
                self.host,
                users,
                allowed,
                lifetime=lifetime,
                claimed_lifetime=claimed_lifetime,
                identity_tokens=identity_tokens,
                token_members=token_members,
            )
        return Access()

    def _routes(self, behaviour: Behaviour) -> list[Route]:
        return [
            *Listings(self._store, behaviour).routes(),
            *Uploads(self._store, behaviour, self.url).routes(),
            *Blobs(self._store, behaviour, lambda: self.elsewhere).routes(),
            *Manifests(self._store, behaviour).routes(),
            *(Signatures(self._store).routes() if behaviour.signatures_extension else []),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if error is None and self._service.failures:
            raise self._service.failures[0]

    def close(self) -> None:
        """End all connections, also those that stall, and remove all files. May be called again."""
        self._listener.close()
        with self._lock:
            elsewhere = self._elsewhere
        if elsewhere:
            elsewhere.close()
        self._store.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def host(self) -> str:
        """``127.0.0.1:PORT``."""
        return self._listener.host

    @property
    def url(self) -> str:
        """Scheme and host, without a slash."""
        return self._listener.url

    @property
    def elsewhere(self) -> str:
        """The URL of a second origin: uploads go on there, and ``/storage/DIGEST`` has all blobs."""
        with self._lock:
            if self._elsewhere is None:
                self._elsewhere = Listener(self._tls)
                self._elsewhere.start(self._service)
            return self._elsewhere.url

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests to both origins so far, in the order in which their headers arrived."""
        return self._service.log

    def forget_requests(self) -> None:
        """Begin a new log."""
        self._service.begin_log()

    def add_fault(self, fault: Fault) -> None:
        """Have ``fault`` hit requests from now on; of several that match one request, the earliest does."""
        self._service.faults.add(fault)

    @property
    def idle_faults(self) -> list[Fault]:
        """The faults that have hit no request so far: a test that needed them has tested nothing."""
        return self._service.faults.idle

    def clear_faults(self) -> None:
        """Work well again."""
        self._service.faults.clear()

    def expire_tokens(self) -> None:
        """Make all bearer tokens that were handed out worthless."""
        self._access.expire_tokens()


def _server_context(tls: tuple[str | Path, str | Path] | None, client_ca: str | Path | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.load_cert_chain(*tls)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
