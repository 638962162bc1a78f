"""Small blobs that are held in memory: configs, and what a conversion adds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transship.copy.session import Session, Target, failure
from transship.errors import ContentMismatchError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import BlobReader, Buffer, BytesContent, Content, verified
from transship.plugin.events import BlobPlanned


def read_config(session: Session, descriptor: Descriptor) -> bytes:
    """The bytes of a config, verified, at most 4 MiB."""
    try:
        if descriptor.size > METADATA_LIMIT:
            raise ContentMismatchError(f"exceeded maximum allowed size of {METADATA_LIMIT} bytes")
        content = session.source.get_blob(descriptor)
        try:
            chunks = _bounded(verified(content, descriptor))
            return b"".join(bytes(chunk) for chunk in chunks)
        finally:
            content.close()
    except (TransshipError, OSError) as error:
        raise failure(f"reading config blob {descriptor}", error, operation="read", side="source") from error


def _bounded(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if count > METADATA_LIMIT:
            raise ContentMismatchError(f"exceeded maximum allowed size of {METADATA_LIMIT} bytes")
        yield chunk


def put_bytes(session: Session, target: Target, data: bytes, descriptor: Descriptor, *, is_config: bool) -> None:
    """Store a small blob that is in memory, unless the target has it."""
    try:
        present = target.destination.reuse_blob(descriptor)
        if session.options.dry_run:
            target.count(len(data), reused=present is not None)
            planned = BlobPlanned(
                session.image,
                str(target.reference),
                descriptor.digest,
                len(data),
                is_config=is_config,
                reused=present is not None,
            )
            session.emit(planned)
            return
        if present is None:
            content: Content = BytesContent(data)
            target.destination.put_blob(BlobReader(content, descriptor, is_config=is_config))
        target.count(len(data), reused=present is not None)
    except (TransshipError, OSError) as error:
        raise failure("writing blob", error, operation="write", side="destination") from error
