"""Uploads, and what becomes of them when something breaks."""

from __future__ import annotations

import random
import resource
import sys

import pytest

from transship.errors import CancelledError, ContentMismatchError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.blob import BlobReader, Expectation, FileContent
from transship.plugin.credentials import Credentials
from transship.testing.registry import Fault
from transship_docker import network
from transship_docker.errors import NetworkError, RegistryError

DATA = random.Random(3).randbytes((6 << 20) + 123)
DIGEST = digest_of(DATA)
UPLOADS = "/v2/library/app/blobs/uploads/*"


def reader(data=DATA, *, known=True, size=200_000):
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return BlobReader(pieces, Descriptor("", digest_of(data), len(data)) if known else Expectation())


def stored(registry, data=DATA):
    content = registry.blobs["library/app"].get(digest_of(data))
    return content is not None and content.read() == data


def methods(registry, path="uploads"):
    return [request.method for request in registry.requests if path in request.path]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
class TestForms:
    """What an upload looks like."""

    def test_three_steps(self, registry, open_destination, known):
        open_destination(registry).put_blob(reader(known=known))
        assert stored(registry)
        assert methods(registry) == ["POST", "PATCH", "PUT"]
        patch = next(request for request in registry.requests if request.method == "PATCH")
        assert patch.headers.get("Content-Length") == (str(len(DATA)) if known else "")
        assert patch.headers.get("Content-Range") == ""
        assert patch.headers.get("Content-Type") == "application/octet-stream"

    def test_empty_blobs(self, registry, open_destination, known):
        open_destination(registry).put_blob(reader(b"", known=known))
        assert stored(registry, b"")

    @pytest.mark.parametrize("chunk", ["1M", "2500000", "64M"])
    def test_chunks(self, registry, open_destination, known, chunk):
        open_destination(registry, chunk_size=chunk).put_blob(reader(known=known))
        assert stored(registry)
        assert methods(registry).count("PATCH") == {"1M": 7, "2500000": 3, "64M": 1}[chunk]

    def test_chunks_are_as_long_as_the_registry_wants(self, make_registry, open_destination, known):
        registry = make_registry(min_chunk=3 << 20)
        open_destination(registry, chunk_size="1M").put_blob(reader(known=known))
        assert stored(registry)
        assert methods(registry).count("PATCH") == 3

    @pytest.mark.parametrize("absolute", [True, False])
    def test_locations_may_be_absolute(self, make_registry, open_destination, known, absolute):
        registry = make_registry(absolute_locations=absolute)
        open_destination(registry).put_blob(reader(known=known))
        assert stored(registry)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("options", [{}, {"chunk_size": "1M"}], ids=["whole", "chunks"])
class TestBreaks:
    """Connections that end in the middle."""

    @pytest.mark.parametrize("keeps", [True, False], ids=["keeping", "discarding"])
    def test_a_cut(self, make_registry, open_destination, known, options, keeps):
        registry = make_registry(keeps_cut_uploads=keeps)
        registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=700_000, times=1))
        open_destination(registry, **options).put_blob(reader(known=known))
        assert stored(registry)
        assert methods(registry).count("POST") == (1 if keeps else 2)
        assert registry.open_uploads == 0

    def test_as_many_cuts_as_there_is_progress(self, registry, open_destination, known, options):
        registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=150_000, times=30))
        open_destination(registry, **options).put_blob(reader(known=known))
        assert stored(registry)
        assert methods(registry).count("POST") == 1

    def test_without_progress_it_ends(self, registry, open_destination, known, options, waits):
        registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=0))
        with pytest.raises(NetworkError, match="uploading layer chunked"):
            open_destination(registry, **options).put_blob(reader(known=known))
        assert len(methods(registry)) < 30
        assert not stored(registry)

    def test_endless_discarding_ends(self, make_registry, open_destination, known, options):
        registry = make_registry(keeps_cut_uploads=False)
        registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=700_000))
        with pytest.raises(NetworkError):
            open_destination(registry, **options).put_blob(reader(known=known))
        assert methods(registry).count("POST") <= 6

    @pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
    def test_lost_answers(self, registry, open_destination, known, options, method):
        registry.add_fault(Fault(UPLOADS, method, drop_response=True, times=1))
        open_destination(registry, **options).put_blob(reader(known=known))
        assert stored(registry)

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    @pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
    def test_passing_statuses(self, registry, open_destination, known, options, method, status):
        registry.add_fault(Fault(UPLOADS, method, status=status, times=1))
        open_destination(registry, **options).put_blob(reader(known=known))
        assert stored(registry)

    def test_a_token_that_ends_in_the_middle(self, make_registry, open_destination, known, options):
        registry = make_registry(auth="bearer", users={"user": "secret"})
        registry.add_fault(Fault(UPLOADS, "PATCH", status=401, times=1))
        credentials = Credentials("user", "secret")
        open_destination(registry, credentials=credentials, **options).put_blob(reader(known=known))
        assert stored(registry)

    def test_a_session_that_is_lost(self, registry, open_destination, known, options):
        registry.add_fault(Fault(UPLOADS, "PATCH", status=404, times=1))
        registry.add_fault(Fault(UPLOADS, "GET", status=404))
        open_destination(registry, **options).put_blob(reader(known=known))
        assert stored(registry)

    @pytest.mark.parametrize("held", ["0-0", "0-99999999", "nonsense", "5-9", "0--1", None, "0-" + "9" * 500])
    def test_nonsense_about_the_offset(self, registry, open_destination, known, options, held):
        registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=700_000, times=1))
        registry.add_fault(Fault(UPLOADS, "GET", headers={"Range": held}))
        open_destination(registry, **options).put_blob(reader(known=known))
        assert stored(registry)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_registry_that_wants_a_pause_gets_it(registry, open_destination, waits, method, status):
    registry.add_fault(Fault(UPLOADS, method, status=status, headers={"Retry-After": "20"}, times=2))
    open_destination(registry).put_blob(reader())
    assert stored(registry)
    assert [round(seconds) // 20 for seconds in waits.seconds] == [1, 1]


def test_a_pause_has_bounds(registry, open_destination, waits):
    registry.add_fault(Fault(UPLOADS, "PATCH", status=429, headers={"Retry-After": "86400"}))
    with pytest.raises(RegistryError):
        open_destination(registry).put_blob(reader())
    assert len(waits.seconds) < 10
    assert max(waits.seconds) <= 80


def test_an_offset_that_is_wrong_costs_another_upload(registry, open_destination):
    registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=700_000, times=1))
    registry.add_fault(Fault(UPLOADS, "GET", headers={"Range": "0-9999"}, times=1))
    open_destination(registry).put_blob(reader())
    assert stored(registry)


def test_a_silent_registry_is_given_up(registry, open_destination, monkeypatch):
    monkeypatch.setattr(network, "STALL_TIMEOUT", 0.2)
    registry.add_fault(Fault(UPLOADS, "PATCH", stall_request_after=100_000, times=1, seconds=30))
    registry.add_fault(Fault(UPLOADS, "GET", status=404))
    open_destination(registry).put_blob(reader())
    assert stored(registry)


def test_a_file_needs_no_copy_to_be_sent_again(registry, open_destination, tmp_path):
    (tmp_path / "blob").write_bytes(DATA)
    content = FileContent((tmp_path / "blob").open("rb", buffering=0))
    registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=700_000, times=3))
    open_destination(registry).put_blob(BlobReader(content, Descriptor("", DIGEST, len(DATA))))
    assert stored(registry)
    content.close()


def test_no_room_for_a_copy_matters_only_after_a_break(make_registry, open_destination, tmp_path):
    registry = make_registry(keeps_cut_uploads=False)
    destination = open_destination(registry)
    object.__setattr__(destination._context, "temporary_directory", str(tmp_path / "missing"))
    destination.put_blob(reader(known=False))
    assert stored(registry)
    registry.add_fault(Fault(UPLOADS, "PATCH", drop_request_after=5_500_000, times=1))
    with pytest.raises(NetworkError):
        destination.put_blob(reader(DATA + b"other", known=False))


def test_too_much_at_once_is_sent_in_chunks(registry, open_destination):
    registry.add_fault(Fault(UPLOADS, "PATCH", status=413, times=1))
    data = DATA * 2
    open_destination(registry).put_blob(reader(data))
    assert stored(registry, data)
    assert methods(registry).count("PATCH") == 3


@pytest.mark.parametrize(
    ("method", "fault", "shown"),
    [
        ("POST", {"status": 403}, "initiating layer upload"),
        ("POST", {"headers": {"Location": None}}, "determining upload URL"),
        ("POST", {"headers": {"Location": "ftp://127.0.0.1/"}}, "determining upload URL"),
        ("POST", {"headers": {"Location": "file:///etc/passwd"}}, "determining upload URL"),
        ("POST", {"headers": {"Location": "http://[::1/x"}}, "determining upload URL"),
        ("PATCH", {"status": 403}, "uploading layer chunked"),
        ("PATCH", {"status": 413}, "uploading layer chunked"),
        ("PATCH", {"redirect": "{elsewhere}/x"}, "uploading layer chunked"),
        ("PUT", {"status": 403}, "uploading layer to"),
        ("PUT", {"status": 202}, "uploading layer to"),
    ],
)
def test_refusals_say_what_was_tried(registry, open_destination, method, fault, shown):
    registry.add_fault(Fault(UPLOADS, method, **fault))
    with pytest.raises(TransportError, match=shown):
        open_destination(registry).put_blob(reader())
    assert not stored(registry)


def test_another_digest_than_ours_is_noticed(registry, open_destination):
    registry.add_fault(Fault(UPLOADS, "PUT", headers={"Docker-Content-Digest": str(digest_of(b"other"))}))
    with pytest.raises(ContentMismatchError):
        open_destination(registry).put_blob(reader())


def test_another_origin_gets_no_credentials(make_registry, open_destination):
    registry = make_registry(auth="basic", users={"user": "secret"})
    elsewhere = registry.elsewhere
    registry.add_fault(Fault(UPLOADS, "POST", headers={"Location": "{elsewhere}{location}"}))
    open_destination(registry, credentials=Credentials("user", "secret")).put_blob(reader())
    assert stored(registry)
    there = [request for request in registry.requests if request.origin == elsewhere.removeprefix("http://")]
    assert there
    assert not any(request.headers.get("Authorization") for request in there)


@pytest.mark.parametrize("verifies", [True, False])
def test_https_is_left_only_for_insecure_registries(make_registry, open_destination, tmp_path, verifies):
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    chain, key, roots = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "certs.d" / "ca.crt"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    roots.parent.mkdir()
    authority.cert_pem.write_to_path(roots)
    registry, plain = make_registry(tls=(chain, key)), make_registry()
    registry.add_fault(Fault(UPLOADS, "POST", headers={"Location": f"{plain.url}/v2/library/app/blobs/uploads/1"}))
    options = {"cert_dir": str(roots.parent), "tls_verify": str(verifies).lower()}
    with pytest.raises(TransportError, match="without https" if verifies else "uploading layer chunked|initiating"):
        open_destination(registry, **options).put_blob(reader())
    assert bool(plain.requests) is not verifies


class TestSource:
    """Trouble with the blob is no trouble of the registry."""

    def broken(self, error):
        yield DATA[:500_000]
        raise error

    @pytest.mark.parametrize(
        "error",
        [
            NetworkError("the source broke off", retryable=True),
            RegistryError("the source has it no more", status=404, code="BLOB_UNKNOWN"),
            OSError(5, "input/output error"),
            ValueError("a bug"),
            CancelledError("cancelled"),
        ],
        ids=lambda error: type(error).__name__,
    )
    @pytest.mark.parametrize("options", [{}, {"chunk_size": "1M"}], ids=["whole", "chunks"])
    def test_it_is_raised_as_it_is(self, registry, open_destination, error, options):
        with pytest.raises(type(error)) as caught:
            open_destination(registry, **options).put_blob(BlobReader(self.broken(error), Expectation()))
        assert caught.value is error
        assert methods(registry).count("POST") == 1
        assert "layer" not in str(error)
        assert registry.open_uploads == 0

    @pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", DATA[:-1] + b"x"], ids=["short", "long", "other"])
    def test_wrong_content_is_not_completed(self, registry, open_destination, data):
        pieces = (data[at : at + 100_000] for at in range(0, len(data), 100_000))
        with pytest.raises(ContentMismatchError):
            open_destination(registry).put_blob(BlobReader(pieces, Descriptor("", DIGEST, len(DATA))))
        assert "PUT" not in methods(registry)
        assert registry.open_uploads == 0


def test_rate_is_kept(registry, open_destination, waits):
    open_destination(registry, limit_rate="1M").put_blob(reader())
    assert sum(waits.seconds) > 5


def test_big_blobs_need_little_memory(registry, open_destination, tmp_path):
    piece = b"x" * (1 << 20)
    unit = 1024 if sys.platform == "linux" else 1
    open_destination(registry).put_blob(BlobReader((piece for _ in range(8)), Expectation()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    open_destination(registry).put_blob(BlobReader((piece for _ in range(100)), Expectation()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < 24 << 20
