"""Making signatures: what comes out is checked by openssl, which shares no code with us, and by our requirement."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from sigstore_authorities import EMAIL, Authority, encoded, pem, public_pem
from sigstore_services import Fulcio, Provider, Rekor, make_token
from sigstore_world import BUNDLE, CERTIFICATE, CHAIN, IMAGE, NAME, SIGNATURE, verdict

from transship import api
from transship.errors import SignatureError
from transship.image.reference import DockerReference
from transship.plugin.mechanism import SigningRequest
from transship.plugin.signature import Signature
from transship.testing.writers import write_dir
from transship_sigstore.key_envelope import seal
from transship_sigstore.keys import generate_key
from transship_sigstore.mechanism import SigstoreSignatures

TRANSSHIP = Path(sys.executable).with_name("transship")
REFERENCE = DockerReference.parse(NAME)
KEY = generate_key()
SEALED = seal(KEY, b"secret")


def no_prompt(text: str) -> bytes:
    raise AssertionError(f"asked for {text}")


def open_signer(method, path, passphrase=None, prompt=no_prompt):
    return SigstoreSignatures().open_signer(SigningRequest(method, str(path), passphrase, prompt))


def sign(signer):
    return signer.sign(IMAGE.manifest, IMAGE.digest, REFERENCE)


def parts(signature):
    document = json.loads(signature.payload)
    return base64.b64decode(document["payload"]), document["annotations"]


def openssl(*args, **files):
    return subprocess.run(["openssl", *args], capture_output=True, text=True, check=False, **files)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key.private"
    path.write_bytes(SEALED)
    return path


@pytest.fixture
def authority():
    root = Authority.root()
    return root, root.subordinate()


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


@pytest.fixture
def fulcio(provider, authority):
    with Fulcio(provider, authority[1], authority[0]) as fulcio:
        yield fulcio


@pytest.fixture
def rekor():
    with Rekor() as rekor:
        yield rekor


@pytest.fixture
def parameters(tmp_path):
    def write(**members):
        path = tmp_path / "parameters.yaml"
        path.write_text(json.dumps(members))
        return path

    return write


@pytest.mark.interop
@pytest.mark.parametrize(
    ("key", "flags"),
    [
        (KEY, ["-sha256"]),
        (ec.generate_private_key(ec.SECP384R1()), ["-sha256"]),
        (rsa.generate_private_key(65537, 2048), ["-sha256", "-sigopt", "rsa_padding_mode:pkcs1"]),
    ],
    ids=["P-256", "P-384", "RSA"],
)
def test_openssl_verifies_what_we_sign(tmp_path, key, flags):
    (tmp_path / "key").write_bytes(seal(key, b""))
    payload, annotations = parts(sign(open_signer("private-key", tmp_path / "key", b"")))
    (tmp_path / "pub").write_bytes(public_pem(key))
    (tmp_path / "signature").write_bytes(base64.b64decode(annotations[SIGNATURE]))
    (tmp_path / "payload").write_bytes(payload)
    command = ["dgst", *flags, "-verify", "pub", "-signature", "signature"]
    assert openssl(*command, "payload", cwd=tmp_path).stdout == "Verified OK\n"
    (tmp_path / "payload").write_bytes(payload + b" ")
    assert openssl(*command, "payload", cwd=tmp_path).returncode != 0
    claim = json.loads(payload)["critical"]
    assert claim == {
        "identity": {"docker-reference": NAME},
        "image": {"docker-manifest-digest": str(IMAGE.digest)},
        "type": "cosign container image signature",
    }


@pytest.mark.interop
def test_openssl_verifies_what_we_sign_with_ed25519(tmp_path):
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(seal(key, b""))
    payload, annotations = parts(sign(open_signer("private-key", tmp_path / "key", b"")))
    (tmp_path / "pub").write_bytes(public_pem(key))
    (tmp_path / "signature").write_bytes(base64.b64decode(annotations[SIGNATURE]))
    (tmp_path / "payload").write_bytes(payload)
    command = ["pkeyutl", "-verify", "-pubin", "-inkey", "pub", "-rawin", "-in", "payload", "-sigfile", "signature"]
    assert openssl(*command, cwd=tmp_path).returncode == 0


def test_what_we_sign_is_accepted(key_file):
    signature = sign(open_signer("private-key", key_file, b"secret"))
    found = verdict({"keyData": encoded(public_pem(KEY))}, signature)
    assert found.accepted, found.reason


def test_passphrase_is_asked_for_where_none_was_given(key_file):
    asked = []

    def prompt(text):
        asked.append(text)
        return b"secret"

    open_signer("private-key", key_file, prompt=prompt).close()
    assert asked == [f"Passphrase for key {key_file}: "]


def test_reference_without_tag_and_digest_is_not_signed(key_file):
    signer = open_signer("private-key", key_file, b"secret")
    with pytest.raises(SignatureError):
        signer.sign(IMAGE.manifest, IMAGE.digest, DockerReference.parse("registry.example.com/team/app"))


def test_closed_signer_signs_no_more(key_file):
    signer = open_signer("private-key", key_file, b"secret")
    signer.close()
    signer.close()
    with pytest.raises(SignatureError):
        sign(signer)


def test_wrong_passphrase_is_told_without_it(key_file):
    with pytest.raises(SignatureError) as error:
        open_signer("private-key", key_file, b"wr0ng")
    assert "wr0ng" not in str(error.value)
    assert str(key_file) in str(error.value)


def test_missing_key_is_told(tmp_path):
    for method in ("private-key", "parameters"):
        with pytest.raises(SignatureError, match="nothing-there"):
            open_signer(method, tmp_path / "nothing-there", b"")


def test_key_and_log_in_parameters(key_file, parameters, rekor, tmp_path):
    (tmp_path / "pass").write_text("secret\nsecond line\n")
    path = parameters(privateKeyFile=str(key_file), privateKeyPassphraseFile=str(tmp_path / "pass"), rekorURL=rekor.url)
    signature = sign(open_signer("parameters", path))
    policy = {"keyData": encoded(public_pem(KEY)), "rekorPublicKeyData": encoded(public_pem(rekor.log.key))}
    found = verdict(policy, signature)
    assert found.accepted, found.reason
    assert len(rekor.entries) == 1


def fulcio_policy(authority, provider, rekor):
    root, _ = authority
    trusted = {"caData": encoded(pem(root.certificate)), "oidcIssuer": provider.url, "subjectEmail": EMAIL}
    return {"fulcio": trusted, "rekorPublicKeyData": encoded(public_pem(rekor.log.key))}


def test_given_token_becomes_a_certificate(authority, parameters, provider, fulcio, rekor):
    token = {"fulcioURL": f"{fulcio.url}/", "oidcMode": "staticToken", "oidcIDToken": provider.token()}
    signer = open_signer("parameters", parameters(fulcio=token, rekorURL=rekor.url))
    for _ in range(2):
        signature = sign(signer)
        found = verdict(fulcio_policy(authority, provider, rekor), signature)
        assert found.accepted, found.reason
    assert len(fulcio.requests) == 1
    _, annotations = parts(signature)
    assert set(annotations) == {SIGNATURE, BUNDLE, CERTIFICATE, CHAIN}
    assert annotations[CHAIN].count("BEGIN CERTIFICATE") == 2


@pytest.mark.interop
def test_openssl_verifies_our_certificate(authority, parameters, provider, fulcio, rekor, tmp_path):
    token = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": provider.token()}
    payload, annotations = parts(sign(open_signer("parameters", parameters(fulcio=token, rekorURL=rekor.url))))
    (tmp_path / "leaf").write_text(annotations[CERTIFICATE])
    (tmp_path / "chain").write_text(annotations[CHAIN])
    (tmp_path / "root").write_bytes(pem(authority[0].certificate))
    (tmp_path / "signature").write_bytes(base64.b64decode(annotations[SIGNATURE]))
    (tmp_path / "payload").write_bytes(payload)
    # openssl knows no purpose for signing code by name; the test of our requirement looks at that
    path = ["verify", "-ignore_critical", "-CAfile", "root", "-untrusted", "chain", "leaf"]
    assert openssl(*path, cwd=tmp_path).stdout == "leaf: OK\n"
    (tmp_path / "pub").write_text(openssl("x509", "-in", "leaf", "-noout", "-pubkey", cwd=tmp_path).stdout)
    command = ["dgst", "-sha256", "-verify", "pub", "-signature", "signature", "payload"]
    assert openssl(*command, cwd=tmp_path).stdout == "Verified OK\n"


def test_certificate_is_renewed_before_it_expires(authority, parameters, provider, rekor):
    root, intermediate = authority
    with Fulcio(provider, intermediate, root, end=int(time.time()) + 5) as fulcio:
        token = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": provider.token()}
        signer = open_signer("parameters", parameters(fulcio=token, rekorURL=rekor.url))
        sign(signer)
        assert len(fulcio.requests) == 2


@pytest.mark.parametrize(
    "fault",
    [
        (500, b"down"),
        (201, b""),
        (201, b"no certificate"),
        (302, b"", {"Location": "http://127.0.0.1:1/"}),
        (201, b"A" * (2 << 20)),
    ],
)
def test_fulcio_that_gives_no_certificate_is_told(parameters, provider, fulcio, fault):
    fulcio.faults = [fault]
    token = provider.token()
    members = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": token}
    with pytest.raises(SignatureError) as error:
        open_signer("parameters", parameters(fulcio=members))
    assert token not in str(error.value)
    assert len(fulcio.requests) == 1


def test_token_that_the_server_repeats_is_not_shown(parameters, provider, fulcio):
    token = provider.token()
    fulcio.faults = [(400, f"bad token {token}".encode())]
    members = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": token}
    with pytest.raises(SignatureError) as error:
        open_signer("parameters", parameters(fulcio=members))
    assert token[:20] not in str(error.value)


def test_long_token_that_the_server_repeats_is_not_shown(parameters, fulcio):
    token = make_token({"sub": "ann", "groups": ["team"] * 1000})
    fulcio.faults = [(400, f"bad token {token}".encode())]
    members = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": token}
    with pytest.raises(SignatureError) as error:
        open_signer("parameters", parameters(fulcio=members))
    assert token[:20] not in str(error.value)


@pytest.mark.parametrize("end", ["\n", " ", "\r\n"])
def test_white_space_around_a_token_does_not_matter(parameters, provider, fulcio, end):
    members = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": provider.token() + end}
    open_signer("parameters", parameters(fulcio=members)).close()


@pytest.mark.parametrize("end", ["\r\nX-Injected: y", "\xe9", "\0"])
def test_token_that_fits_no_header_is_neither_sent_nor_shown(parameters, provider, fulcio, end):
    token = provider.token()
    members = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": token + end}
    with pytest.raises(SignatureError) as error:
        open_signer("parameters", parameters(fulcio=members))
    assert token[:20] not in str(error.value)
    assert not fulcio.requests


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"], ids=["NUL", "half a pair"])
def test_name_that_no_file_can_have_is_told(parameters, key_file, name):
    for members in ({"privateKeyFile": name}, {"privateKeyFile": str(key_file), "privateKeyPassphraseFile": name}):
        with pytest.raises(SignatureError):
            open_signer("parameters", parameters(**members))


def test_certificate_for_another_key_is_refused(authority, parameters, provider, fulcio):
    leaf = authority[1].leaf(generate_key())
    fulcio.faults = [(201, pem(leaf))]
    members = {"fulcioURL": fulcio.url, "oidcMode": "staticToken", "oidcIDToken": provider.token()}
    with pytest.raises(SignatureError):
        open_signer("parameters", parameters(fulcio=members))


@pytest.mark.parametrize(
    "url",
    [
        "http://fulcio.example.com",
        "ftp://127.0.0.1",
        "https://user:pw@example.com",
        "https://",
        "x",
        "https://e.com/?a",
    ],
)
def test_secrets_go_to_https_alone(parameters, url):
    members = {"fulcioURL": url, "oidcMode": "staticToken", "oidcIDToken": make_token({"sub": "x"})}
    with pytest.raises(SignatureError):
        open_signer("parameters", parameters(fulcio=members))
    members = {"fulcioURL": "https://localhost:1", "oidcMode": "deviceGrant", "oidcIssuerURL": url}
    with pytest.raises(SignatureError):
        open_signer("parameters", parameters(fulcio=members))


_BROWSER = """\
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=20).read()
"""


@pytest.mark.uses("dir")
@pytest.mark.parametrize("mode", ["deviceGrant", "interactive"])
def test_login_becomes_a_certificate(authority, parameters, provider, fulcio, rekor, tmp_path, mode):
    provider.pending = []
    (tmp_path / "browser.py").write_text(_BROWSER)
    write_dir(IMAGE, tmp_path / "image")
    login = {
        "fulcioURL": fulcio.url,
        "oidcMode": mode,
        "oidcIssuerURL": provider.url,
        "oidcClientID": provider.client_id,
        "oidcClientSecret": provider.client_secret,
    }
    signing = ["--sign-by-sigstore", parameters(fulcio=login, rekorURL=rekor.url), "--sign-identity", NAME]
    done = subprocess.run(
        [TRANSSHIP, "--insecure-policy", "copy", *signing, "dir:image", "dir:signed"],
        cwd=tmp_path,
        env={**os.environ, "BROWSER": f"{sys.executable} {tmp_path / 'browser.py'} %s"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert provider.url in done.stderr
    assert provider.client_secret not in done.stderr + done.stdout
    found = verdict(
        fulcio_policy(authority, provider, rekor), Signature.parse((tmp_path / "signed" / "signature-1").read_bytes())
    )
    assert found.accepted, found.reason


@pytest.fixture
def logging_in(parameters, provider, fulcio, tmp_path):
    """Starts a copy that waits until somebody logs in on another device, and returns when it has said so."""
    provider.pending = ["authorization_pending"] * 100
    write_dir(IMAGE, tmp_path / "image")
    login = {"fulcioURL": fulcio.url, "oidcMode": "deviceGrant", "oidcIssuerURL": provider.url}
    path = parameters(fulcio={**login, "oidcClientID": provider.client_id, "oidcClientSecret": provider.client_secret})

    def start(*flags):
        signing = ["--sign-by-sigstore", path, "--sign-identity", NAME]
        command = [TRANSSHIP, "--insecure-policy", *flags, "copy", *signing, "dir:image", "dir:signed"]
        program = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        programs.append(program)
        return program, program.stderr.readline()

    programs = []
    yield start
    for program in programs:
        program.kill()
        program.communicate(timeout=10)


@pytest.mark.uses("dir")
def test_login_ends_with_the_command_timeout(logging_in):
    program, line = logging_in("--command-timeout", "3s")
    assert "ABCD-EFGH" in line
    _, rest = program.communicate(timeout=20)
    assert program.returncode == 1
    assert "Traceback" not in rest


@pytest.mark.uses("dir")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_login_can_be_interrupted(logging_in, number, code):
    program, line = logging_in()
    assert "ABCD-EFGH" in line
    program.send_signal(number)
    _, rest = program.communicate(timeout=10)
    assert program.returncode == code
    assert "Traceback" not in rest


@pytest.mark.uses("dir")
def test_how_to_log_in_is_told_in_json(logging_in):
    _, line = logging_in("--log-format", "json")
    assert "ABCD-EFGH" in json.loads(line)["msg"]


def test_library_tells_nobody_unless_it_is_asked_to(parameters, provider, fulcio):
    login = {"fulcioURL": fulcio.url, "oidcMode": "deviceGrant", "oidcIssuerURL": provider.url}
    path = parameters(fulcio={**login, "oidcClientID": provider.client_id, "oidcClientSecret": provider.client_secret})
    with pytest.raises(SignatureError):
        api.open_signer(str(path), mechanism="sigstore", method="parameters")
    told = []
    api.open_signer(str(path), mechanism="sigstore", method="parameters", tell=told.append).close()
    assert "ABCD-EFGH" in told[0]
