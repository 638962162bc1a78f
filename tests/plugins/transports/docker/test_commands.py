from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import socket
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import peers
import pytest

from transship.testing.registry import Registry

TRANSSHIP = str(Path(sys.executable).with_name("transship"))
USERS = {"alice": "se:cret"}
_HASH = "$2y$05$ygPeeUzOImEooLX5eAJJI.AVlo9ndk1bPLHWHm/ACnC6ciC8ivt1y"  # of alice's password
_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/storage}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {folder}/server.pem, key: {folder}/server.key}}}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""


@dataclass(frozen=True)
class Guarded:
    """A registry that wants to see a password. ``certs`` is the folder of its authority."""

    host: str
    certs: Path


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    """Debian's docker-registry, with TLS and htpasswd."""
    folder = tmp_path_factory.mktemp("guarded-registry")
    (folder / "certs").mkdir()
    openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [
            *openssl,
            *("-keyout", "server.key", "-out", "server.pem", "-days", "30", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "certs" / "ca.crt").write_bytes((folder / "server.pem").read_bytes())
    (folder / "htpasswd").write_text(f"alice:{_HASH}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config.yml").write_text(_CONFIGURATION.format(folder=folder, port=port))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        _wait_until_open(port)
        yield Guarded(f"localhost:{port}", folder / "certs")
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_open(port):
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("localhost", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


class User:
    """Somebody with a home, who runs a program there. ``folder`` is replaced by ``HOME`` in what it writes."""

    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        (folder / "run").mkdir(parents=True)
        removed = ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
        self.environment = {name: value for name, value in os.environ.items() if name not in removed}
        self.environment |= {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}

    def run(self, *args, stdin=b"", **environment):
        done = subprocess.run(
            [self.program, *args],
            check=False,
            input=stdin,
            capture_output=True,
            env=self.environment | environment,
            timeout=60,
        )
        out, err = (text.decode().replace(str(self.folder), "HOME") for text in (done.stdout, done.stderr))
        assert "Traceback" not in err
        return Outcome(done.returncode, out, err)

    @property
    def authfile(self):
        return self.folder / "run" / "containers" / "auth.json"


@pytest.fixture
def user(tmp_path):
    return User(tmp_path / "user", TRANSSHIP)


@pytest.fixture
def other(tmp_path):
    return User(tmp_path / "other", peers.SKOPEO)


def login(guarded, *args, registry=None):
    return ("login", *args, "--cert-dir", str(guarded.certs), registry or guarded.host)


def auth(pair="alice:se:cret"):
    return {"auth": base64.b64encode(pair.encode()).decode()}


CREDENTIALS = ("-u", "alice", "-p", "se:cret")


def conversations(host):
    """Commands that both programs must answer alike, down to the files."""
    wrong, known = ("-u", "alice", "-p", "wrong"), CREDENTIALS
    return {
        "in and out": [(*known, "-v", host), ("--get-login", host), ("logout", host), ("logout", host)],
        "wrong password": [(*wrong, host), ("--get-login", host)],
        "again": [(*known, host), (host,)],
        "namespaces": [
            (*known, "-v", f"{host}/ns/repo"),
            ("--get-login", f"{host}/ns/repo/deep"),
            ("--get-login", f"{host}/ns"),
            ("logout", f"{host}/ns"),
            ("logout", f"{host}/ns/repo"),
        ],
        "address": [(*known, f"https://{host}/v1/"), ("--get-login", host), ("logout", f"http://{host}")],
        "everything": [(*known, host), (*known, f"{host}/ns"), ("logout", "--all"), ("logout", "-a")],
        "several": [("logout", "--all", host), ("--get-login", f"{host}/x:tag"), (*known, f"{host}/UP")],
        "no input": [(host,)],
    }


@pytest.mark.interop
@pytest.mark.parametrize("name", conversations(""))
def test_both_programs_say_and_write_the_same(guarded, user, other, name):
    for args in conversations(guarded.host)[name]:
        command = args if args[0] == "logout" else login(guarded, *args[:-1], registry=args[-1])
        ours, theirs = user.run(*command), other.run(*command)
        assert (ours.code, ours.out) == (theirs.code, theirs.out), ours.err
        assert fatal(ours.err) == fatal(theirs.err)
        assert user.authfile.exists() == other.authfile.exists()
        if user.authfile.exists():
            assert json.loads(user.authfile.read_text()) == json.loads(other.authfile.read_text())


def fatal(text):
    return re.findall(r"level=fatal msg=(.*)", text)


@pytest.mark.interop
def test_what_one_program_wrote_the_other_reads(guarded, user, other):
    path = str(user.folder / "auth.json")
    assert user.run(*login(guarded, *CREDENTIALS, "--authfile", path)).code == 0
    assert "Already logged in" in other.run(*login(guarded, "--authfile", path)).out
    assert other.run("logout", "--authfile", path, guarded.host).code == 0
    assert other.run(*login(guarded, *CREDENTIALS, "--authfile", path)).code == 0
    assert "Already logged in" in user.run(*login(guarded, "--authfile", path)).out


@pytest.mark.interop
def test_the_file_is_for_the_user_alone(guarded, user):
    assert user.run(*login(guarded, *CREDENTIALS)).code == 0
    assert stat.S_IMODE(user.authfile.stat().st_mode) == 0o600
    assert stat.S_IMODE(user.authfile.parent.stat().st_mode) == 0o700


@pytest.mark.interop
def test_the_password_may_come_from_standard_input(guarded, user):
    command = login(guarded, "-u", "alice", "--password-stdin")
    assert user.run(*command, stdin=b"se:\r\ncret\n").out == "Login Succeeded!\n"
    assert json.loads(user.authfile.read_text())["auths"] == {guarded.host: auth()}


@pytest.mark.interop
def test_dockers_file_keeps_what_else_it_says(guarded, user):
    path = user.folder / "config.json"
    path.write_text('{"HttpHeaders": {"X": "y"}}')
    assert user.run(*login(guarded, *CREDENTIALS, "--compat-auth-file", str(path))).code == 0
    assert json.loads(path.read_text()) == {"HttpHeaders": {"X": "y"}, "auths": {guarded.host: auth()}}
    refused = user.run(*login(guarded, *CREDENTIALS, "--compat-auth-file", str(path), registry=f"{guarded.host}/ns"))
    assert refused.code == 1
    assert "namespaced key" in refused.err
    assert user.run("logout", "--compat-auth-file", str(path), guarded.host).code == 0
    assert json.loads(path.read_text()) == {"HttpHeaders": {"X": "y"}, "auths": {}}


@pytest.mark.interop
@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [("REGISTRY_AUTH_FILE", "x.json", "x.json"), ("DOCKER_CONFIG", "", "config.json")],
)
def test_variables_name_the_file(guarded, user, variable, value, place):
    environment = {variable: os.path.join(user.folder, value)}
    assert user.run(*login(guarded, *CREDENTIALS), **environment).code == 0
    assert json.loads((user.folder / place).read_text())["auths"] == {guarded.host: auth()}
    assert not user.authfile.exists()
    assert user.run("login", "--get-login", guarded.host, **environment).out == "alice\n"


@pytest.mark.interop
def test_who_is_logged_in_by_docker_is_told_so(guarded, user):
    folder = user.folder / ".docker"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {guarded.host: auth()}}))
    outcome = user.run("logout", "--tls-verify=false", guarded.host)
    assert outcome.code == 0
    assert "Please use docker logout instead" in outcome.out


@pytest.mark.interop
def test_a_helper_program_keeps_the_credentials(guarded, user, make_helper):
    kept = make_helper("x")
    user.environment["PATH"] = os.environ["PATH"]
    (user.folder / "registries.conf").write_text('credential-helpers = ["x"]')
    conf = ("--registries-conf", str(user.folder / "registries.conf"))
    assert "Used:  credential helper: x" in user.run(*conf, *login(guarded, *CREDENTIALS, "-v")).out
    assert json.loads(kept.read_text())[guarded.host]["Username"] == "alice"
    assert user.run("login", "--get-login", guarded.host, *conf).out == "alice\n"
    assert "Already logged in" in user.run(*login(guarded), *conf).out
    assert user.run("logout", guarded.host, *conf).code == 0
    assert kept.read_text() == "{}"
    assert not user.authfile.exists()


@pytest.mark.interop
def test_certificates_are_verified(guarded, user):
    outcome = user.run("login", *CREDENTIALS, guarded.host)
    assert outcome.code == 1
    assert "x509: certificate signed by unknown authority" in outcome.err
    assert user.run("login", *CREDENTIALS, "--tls-verify=false", guarded.host).code == 0


@pytest.mark.interop
def test_registries_conf_has_a_say(guarded, user):
    folder = user.folder / ".config" / "containers"
    folder.mkdir(parents=True)
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{guarded.host}"\ninsecure = true\n')
    assert user.run("login", *CREDENTIALS, guarded.host).code == 0
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{guarded.host}"\nblocked = true\n')
    assert "is blocked in" in user.run("login", *CREDENTIALS, guarded.host).err


@pytest.mark.interop
def test_no_secret_is_shown(guarded, user):
    for password in ("se:cret", "wrong-one"):
        outcome = user.run(*login(guarded, "-u", "alice", "-p", password, "-v", "--debug"))
        shown = outcome.out + outcome.err
        assert password not in shown
        assert base64.b64encode(f"alice:{password}".encode()).decode() not in shown


class Terminal:
    """The program at a terminal, answered by ``expect`` and ``type``."""

    def __init__(self, user, *args):
        self._descriptor, end = pty.openpty()
        self._process = subprocess.Popen(
            [user.program, *args], stdin=end, stdout=end, stderr=end, env=user.environment, start_new_session=True
        )
        os.close(end)
        self.shown = ""

    def expect(self, text):
        deadline = time.monotonic() + 20
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._descriptor], [], [], 0.1)[0]:
                self.shown += os.read(self._descriptor, 4096).decode()

    def type(self, text):
        time.sleep(0.1)  # whoever asks turns the echo off, and drops what was typed before
        os.write(self._descriptor, text.encode())

    def end(self):
        code = self._process.wait(20)
        os.close(self._descriptor)
        return code


@pytest.mark.interop
def test_what_is_not_given_is_asked_for(guarded, user):
    terminal = Terminal(user, *login(guarded))
    terminal.expect("Username: ")
    terminal.type("alice\n")
    terminal.expect("Password: ")
    terminal.type("se:cret\n")
    terminal.expect("Login Succeeded!")
    assert terminal.end() == 0
    assert "se:cret" not in terminal.shown


@pytest.mark.interop
def test_a_known_user_name_is_offered(guarded, user):
    user.authfile.parent.mkdir()
    user.authfile.write_text(json.dumps({"auths": {guarded.host: auth("alice:old")}}))
    terminal = Terminal(user, *login(guarded))
    terminal.expect("Existing credentials are invalid, please enter valid username and password")
    terminal.expect("Username (alice): ")
    terminal.type("\n")
    terminal.expect("Password: ")
    terminal.type("se:cret\n")
    terminal.expect("Login Succeeded!")
    assert terminal.end() == 0


def test_a_token_service_is_asked_without_scope(user):
    with Registry(auth="bearer", users=USERS) as registry:
        assert user.run("login", *CREDENTIALS, "--tls-verify=false", registry.host).code == 0
        wrong = user.run("login", "-u", "alice", "-p", "wrong", "--tls-verify=false", registry.host)
        assert "invalid username/password" in wrong.err
        asked = [request for request in registry.requests if request.path == "/token"]
        assert asked
        assert not any("scope" in (request.query or "") for request in asked)


def test_an_identity_token_is_left_alone(user):
    user.authfile.parent.mkdir()
    entry = {"auth": base64.b64encode(b"<token>:").decode(), "identitytoken": "secret-token"}
    user.authfile.write_text(json.dumps({"auths": {"a.example": entry}}))
    outcome = user.run("login", *CREDENTIALS, "a.example")
    assert "currently logged in, auth file contains an Identity token" in outcome.err
    assert "secret-token" not in outcome.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("login",), "please provide a registry to log in to"),
        (("login", ""), "parse reference from"),
        (("login", "a", "b"), "login accepts only one registry to log in to"),
        (("login", "a.example", "--password-stdin"), "must provide --username with --password-stdin"),
        (("login", "a.example", "--password-stdin", *CREDENTIALS), "can't specify both --password-stdin and"),
        (("login", "a.example", "--authfile", "x", "--compat-auth-file", "y"), "can not be set simultaneously"),
        (("login", "a.example/x@sha256:" + "0" * 64), "contains tag or digest"),
        (("login", "../x"), "parse reference from"),
        (("login", "a.example/", *CREDENTIALS), "parse reference from"),
        (("login", "me@a.example", "-u", "x", "-p", "y"), "parse reference from"),
        (("login", "a.example", "--nope"), "unknown flag: --nope"),
        (("login", "a.example", "--get-login", "--authfile", "/dev/null"), "unmarshaling JSON"),
        (("logout",), "please provide a registry to log out from"),
        (("logout", "a", "b"), "logout accepts only one registry to log out from"),
        (("logout", "--all", "a"), "--all takes no arguments"),
        (("logout", "a.example"), "not logged into a.example"),
        (("logout", "a.example", "--authfile", "missing.json"), "credential file is not accessible"),
    ],
)
def test_what_makes_no_sense_is_refused(user, args, message):
    outcome = user.run(*args)
    assert outcome.code == 1
    assert message in outcome.err


@pytest.mark.parametrize("stdin", [b"\xff\xfe", b"x" * (1 << 21)])
def test_standard_input_is_bounded_text(user, stdin):
    outcome = user.run("login", "-u", "alice", "--password-stdin", "a.example", stdin=stdin)
    assert outcome.code == 1
    assert "standard input" in outcome.err
