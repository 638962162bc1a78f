"""Promises of logs."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigstore_authorities import NOW, Log, hashed_record, new_key, public_der, public_pem, sign

from transship.errors import SignatureError
from transship_sigstore.log_entry import EntryTimestamp, LoggedSignature, verify_logged

LOG = Log()
KEY = new_key()
SIGNATURE = sign(KEY, b"payload")
RECORD = hashed_record(b"payload", SIGNATURE, public_pem(KEY))
BUNDLE = LOG.bundle(RECORD).encode()


def verified(bundle: bytes) -> int:
    return verify_logged(bundle, [LOG.key.public_key()], public_der(KEY), SIGNATURE, b"payload")


def test_promise_is_verified():
    assert verified(BUNDLE) == NOW


def test_promise_comes_back():
    found = EntryTimestamp.parse(BUNDLE)
    assert verified(found.to_bytes()) == NOW
    assert json.loads(found.to_bytes()) == json.loads(BUNDLE)


def test_how_a_promise_is_written_does_not_matter():
    document = json.loads(BUNDLE)
    text = json.dumps(dict(reversed(document.items())), indent=3).replace("logIndex", "log\\u0049ndex")
    assert verified(text.encode()) == NOW


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), st.text(max_size=20))
def test_any_promise_of_the_log_is_verified(seconds, index, log_id):
    log_id = log_id.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    entry = LOG.entry(RECORD, seconds=seconds, logIndex=index, logID=log_id)
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    promise = base64.b64encode(sign(LOG.key, canonical)).decode()
    text = json.dumps({"SignedEntryTimestamp": promise, "Payload": entry}).encode()
    assert verified(text) == seconds


@given(st.data())
def test_changed_promise_is_refused_or_means_the_same(data):
    position = data.draw(st.integers(0, len(BUNDLE) - 1))
    changed = BUNDLE[:position] + data.draw(st.binary(max_size=2)) + BUNDLE[position + 1 :]
    try:
        verified(changed)
    except SignatureError:
        return
    assert json.loads(changed) == json.loads(BUNDLE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON, JSON, st.binary(max_size=60))
def test_anything_else_is_refused_in_one_line(payload, promise, data):
    for text in (json.dumps({"Payload": payload, "SignedEntryTimestamp": promise}).encode(), data):
        with pytest.raises(SignatureError) as error:
            EntryTimestamp.parse(text)
        assert "\n" not in str(error.value)


@settings(deadline=None)
@given(st.sampled_from(["apiVersion", "kind", "spec", "data", "signature", "hash", "publicKey", "content"]), JSON)
def test_entry_with_anything_else_in_it_is_refused(name, value):
    def replaced(node):
        if not isinstance(node, dict):
            return node
        return {key: value if key == name else replaced(inner) for key, inner in node.items()}

    body = json.dumps(replaced(RECORD)).encode()
    if json.loads(body) != RECORD:
        with pytest.raises(SignatureError):
            LoggedSignature.parse(body).require(public_der(KEY), SIGNATURE, b"payload")
