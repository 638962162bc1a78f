from __future__ import annotations

import shutil
import ssl
import subprocess

import pytest

from transship.errors import TransportError
from transship_docker import certificates, configuration
from transship_docker.certificates import tls_context

HOST = "registry.example:5000"


class Authority:
    """A private authority in a folder: ``ca.pem``, and pairs ``NAME.pem``, ``NAME.key`` that it has signed."""

    def __init__(self, folder):
        self.folder = folder
        self._openssl("req", "-x509", *self._new_key("ca"), "-out", "ca.pem", "-subj", "/CN=Authority", "-days", "30")

    def issue(self, name, extension="subjectAltName=DNS:registry.example"):
        (self.folder / "ext").write_text(extension)
        self._openssl("req", *self._new_key(name), "-out", "request", "-subj", "/CN=registry.example")
        self._openssl(
            *("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-extfile", "ext", "-days", "30", "-out", f"{name}.pem"),
        )

    def _new_key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue("server")
    authority.issue("client", "extendedKeyUsage=clientAuth")
    authority.issue("other-client", "extendedKeyUsage=clientAuth")
    authority.issue("nameless", "basicConstraints=CA:FALSE")
    return authority


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Folders for certs.d, none of which exists, and no other settings."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    for module in (configuration, certificates):
        monkeypatch.setattr(module, "system_folder", lambda: str(tmp_path / "etc"))
    return tmp_path


def make_folder(path, authority, **files):
    path.mkdir(parents=True)
    for name, source in files.items():
        shutil.copy(authority.folder / source, path / name.replace("_", "."))
    return path


def shake_hands(client, authority, *, name="registry.example", server="server", wants_client=False):
    """Let ``client`` meet a server; the answer is the client's certificate as the server saw it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / f"{server}.pem", authority.folder / f"{server}.key")
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.folder / "ca.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[1].getpeercert(binary_form=True)


def test_a_private_authority_is_not_trusted_without_configuration(machine, authority):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls_context(HOST), authority)


@pytest.mark.parametrize("place", ["home/.config/containers/certs.d", "etc/containers/certs.d", "etc/docker/certs.d"])
def test_authorities_of_the_hosts_folder_are_trusted(machine, authority, place):
    make_folder(machine / place / HOST, authority, ca_crt="ca.pem")
    shake_hands(tls_context(HOST), authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls_context("registry.example"), authority)


def test_only_the_first_folder_that_exists_is_used(machine, authority):
    make_folder(machine / "home/.config/containers/certs.d" / HOST, authority)
    make_folder(machine / "etc/containers/certs.d" / HOST, authority, ca_crt="ca.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls_context(HOST), authority)


def test_a_given_folder_replaces_the_hosts(machine, authority):
    make_folder(machine / "etc/containers/certs.d" / HOST, authority, ca_crt="ca.pem")
    given = make_folder(machine / "given", authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls_context(HOST, cert_dir=str(given)), authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls_context(HOST, cert_dir=str(machine / "missing")), authority)


def test_SSL_CERT_FILE_names_the_roots(machine, authority, monkeypatch):  # noqa: N802 - the variable's name
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    shake_hands(tls_context(HOST), authority)


@pytest.mark.parametrize("name", ["authority.pem", "authority.crt", "authority", "{hash}.0"])
def test_SSL_CERT_DIR_names_folders_of_roots(machine, authority, monkeypatch, name):  # noqa: N802 - a variable
    command = ["openssl", "x509", "-hash", "-noout", "-in", authority.folder / "ca.pem"]
    subject = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    make_folder(machine / "roots", authority)
    shutil.copy(authority.folder / "ca.pem", machine / "roots" / name.format(hash=subject))
    (machine / "roots/README").write_text("no certificate")
    (machine / "roots/folder").mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", f"{machine}/missing:{machine}/roots")
    shake_hands(tls_context(HOST), authority)


def test_an_authority_adds_to_the_roots_of_the_machine(machine, authority):
    given = make_folder(machine / "given", authority, ca_crt="ca.pem")
    without, with_it = tls_context(HOST), tls_context(HOST, cert_dir=str(given))
    assert len(with_it.get_ca_certs()) == len(without.get_ca_certs()) + 1


def test_a_certificate_itself_can_be_trusted(machine, authority):
    given = make_folder(machine / "given", authority, self_crt="server.pem")
    shake_hands(tls_context(HOST, cert_dir=str(given)), authority)


def test_garbage_beside_certificates_says_nothing(machine, authority):
    given = make_folder(machine / "given", authority, ca_crt="ca.pem")
    wrong = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (given / "a.crt").write_bytes(b"\xff nonsense")
    (given / "b.crt").write_bytes(b"text \xff\n" + wrong + (given / "ca.crt").read_bytes())
    (given / "ca.crt").unlink()
    (given / "dangling.crt").symlink_to("nowhere")
    (given / "notes.txt").write_text("nothing")
    shake_hands(tls_context(HOST, cert_dir=str(given)), authority)


@pytest.mark.parametrize(("name", "server"), [("other.example", "server"), ("registry.example", "nameless")])
def test_the_name_must_be_among_the_alternative_names(machine, authority, name, server):
    given = make_folder(machine / "given", authority, ca_crt="ca.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls_context(HOST, cert_dir=str(given)), authority, name=name, server=server)


def test_without_verification_anything_goes(machine, authority):
    shake_hands(tls_context(HOST, verify=False), authority, name="other.example")


def test_a_client_certificate_is_shown(machine, authority):
    given = make_folder(machine / "given", authority, ca_crt="ca.pem", me_cert="client.pem", me_key="client.key")
    seen = shake_hands(tls_context(HOST, cert_dir=str(given)), authority, wants_client=True)
    assert seen == ssl.PEM_cert_to_DER_cert((authority.folder / "client.pem").read_text())


def test_of_several_client_certificates_the_first_is_shown(machine, authority):
    given = make_folder(
        machine / "given",
        authority,
        ca_crt="ca.pem",
        a_cert="client.pem",
        a_key="client.key",
        b_cert="other-client.pem",
        b_key="other-client.key",
    )
    seen = shake_hands(tls_context(HOST, cert_dir=str(given)), authority, wants_client=True)
    assert seen == ssl.PEM_cert_to_DER_cert((authority.folder / "client.pem").read_text())


@pytest.mark.parametrize(
    ("name", "message"),
    [("me_cert", r"missing key me\.key for client certificate"), ("me_key", r"missing client certificate me\.cert")],
)
def test_half_a_client_pair_is_refused(machine, authority, name, message):
    given = make_folder(machine / "given", authority, **{name: "client.pem"})
    with pytest.raises(TransportError, match=message):
        tls_context(HOST, cert_dir=str(given))


def test_a_pair_that_does_not_belong_together_is_refused(machine, authority):
    given = make_folder(machine / "given", authority, me_cert="client.pem", me_key="server.key")
    with pytest.raises(TransportError, match="loading client certificate"):
        tls_context(HOST, cert_dir=str(given))


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(machine, authority):
    given = make_folder(machine / "given", authority, me_cert="client.pem")
    subprocess.run(
        ["openssl", "ec", "-in", "client.key", "-aes128", "-passout", "pass:x", "-out", given / "me.key"],
        cwd=authority.folder,
        check=True,
        capture_output=True,
    )
    with pytest.raises(TransportError, match="loading client certificate"):
        tls_context(HOST, cert_dir=str(given))


@pytest.mark.parametrize("host", ["", "..", "a/b", "../../etc"])
def test_a_host_cannot_lead_out_of_the_folder(machine, host):
    with pytest.raises(TransportError, match="is no host"):
        tls_context(host)


def test_tls_details_apply(machine, tmp_path):
    (tmp_path / "tls.yaml").write_text('minVersion: "1.3"')
    assert tls_context(HOST, tls_details=str(tmp_path / "tls.yaml")).minimum_version == ssl.TLSVersion.TLSv1_3
