"""Parameter files."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import SignatureError
from transship_sigstore.parameters import Parameters, read_parameters

FULCIO = "fulcioURL: https://f\n  oidcMode: staticToken\n  oidcIDToken: TOKEN"


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "parameters.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_parameters(str(path))

    return read_text


def test_key_and_log_are_read(read):
    text = "privateKeyFile: a.private\nprivateKeyPassphraseFile: 'a.pass'\nrekorURL: https://r\n"
    assert read(text) == Parameters("a.private", "a.pass", None, "https://r")


def test_fulcio_is_read(read):
    text = (
        "fulcio:\n  fulcioURL: https://f\n  oidcMode: interactive\n  oidcIssuerURL: https://i\n"
        "  oidcClientID: 12345\n  oidcClientSecret: s3cret\nrekorURL: ~\n"
    )
    parameters = read(text)
    assert parameters.rekor_url == ""
    assert (parameters.fulcio.issuer_url, parameters.fulcio.client_id) == ("https://i", "12345")
    assert "s3cret" not in repr(parameters)
    assert "TOKEN" not in repr(read(f"fulcio:\n  {FULCIO}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "[]",
        "key",
        "rekorURL: https://r",
        "privateKeyFile: ''",
        "privateKeyFile: [a]",
        "privateKeyFile: {a: b}",
        "privateKeyFile: a\nprivateKeyFile: b",
        "privateKeyFile: a\ncolour: red",
        "privateKeyFile: a\n? [x]\n: y",
        "privateKeyFile: a\n--- \nprivateKeyFile: b",
        f"privateKeyFile: a\nfulcio:\n  {FULCIO}",
        "privateKeyFile: a\nfulcio: {}",
        "fulcio: {}",
        "fulcio: a",
        "fulcio: {oidcMode: staticToken, oidcIDToken: t}",
        "fulcio: {fulcioURL: https://f}",
        "fulcio: {fulcioURL: https://f, oidcMode: other}",
        "fulcio: {fulcioURL: https://f, oidcMode: staticToken}",
        "fulcio: {fulcioURL: https://f, oidcMode: deviceGrant}",
        "fulcio: {fulcioURL: https://f, oidcMode: interactive, oidcClientID: c}",
        f"fulcio:\n  {FULCIO}\n  colour: red",
        f"fulcio:\n  {FULCIO}\n  fulcio: x",
        "privateKeyFile: !!python/object/apply:os.system [true]",
        "a: &a [*a]",
        "[" * 2000,
        b"\xff\xfe\x00",
        b"privateKeyFile: a\n" + b"#" * (1 << 17),
    ],
)
def test_anything_else_is_refused(read, text):
    with pytest.raises(SignatureError) as error:
        read(text)
    assert "\n" not in str(error.value)


def test_errors_tell_no_secret(read):
    for text in ("fulcio:\n  oidcIDToken: s3cret\n s3cret: [", "s3cret: 1", "fulcio: {s3cret: 1}"):
        with pytest.raises(SignatureError) as error:
            read(text)
        assert "s3cret" not in str(error.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(SignatureError, match=r"no\.yaml"):
        read_parameters(str(tmp_path / "no.yaml"))


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(SignatureError):
        assert read_parameters(str(path)).private_key_file
