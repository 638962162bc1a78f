"""Which store a place is kept in."""

from __future__ import annotations

from transship.errors import InvalidReferenceError
from transship.plugin.context import Context

from .connection import connections_for
from .local_store import LocalStore
from .object_store import SCHEMES, ObjectStore
from .reference import Place, Url
from .store import Store
from .tree_store import MemoryStore, TreeStore
from .zip_store import ZipReader, ZipWriter


def store_to_read(place: Place, context: Context) -> Store:
    """The store of a layout that is there."""
    if place.folder is None:
        return _plain(place.url, context)
    outer, name = _around(place.url, context)
    try:
        return ZipReader(place, outer, name)
    except BaseException:
        outer.close()
        raise


def store_to_write(place: Place, context: Context) -> Store:
    """The store of a layout that is there or will be."""
    if place.folder is None:
        return _plain(place.url, context)
    outer, name = _around(place.url, context)
    try:
        return ZipWriter(place, outer, name, context.temporary_directory)
    except BaseException:
        outer.close()
        raise


def _plain(url: Url, context: Context) -> Store:
    if url.scheme == "file":
        return LocalStore(url.path)
    connections = connections_for(url, context)
    if url.scheme == "memory":
        return MemoryStore(url, connections, context)
    if url.scheme in SCHEMES:
        return ObjectStore(url, connections, context)
    if url.scheme == "sftp":
        from .sftp_store import SftpStore

        return SftpStore(url, connections, context)
    return TreeStore(url, connections, context)


def _around(url: Url, context: Context) -> tuple[Store, str]:
    """Where an archive lies, and what it is called there."""
    folder, _, name = url.path.rpartition("/")
    if url.path:
        return _plain(url._replace(path=folder or ("/" if url.scheme == "file" else "")), context), name
    if url.scheme != "memory":
        raise InvalidReferenceError(f"fsspec: {url} names no archive")
    return _plain(url._replace(host=""), context), url.host
