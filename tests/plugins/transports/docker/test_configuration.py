"""What lies where configuration is looked for, and is none."""

from __future__ import annotations

import os

import pytest

from transship.errors import TransshipError
from transship.image.reference import DockerReference
from transship_docker import certificates, configuration
from transship_docker.certificates import tls_context
from transship_docker.credential_files import find_credentials
from transship_docker.registries import Registries
from transship_docker.registries_d import SignatureStorage
from transship_docker.tls_details import load_tls_details

HOST = "registry.example"
READERS = {
    ".config/containers/registries.conf": Registries.load,
    ".config/containers/registries.conf.d/more.conf": Registries.load,
    ".config/containers/registries.d/more.yaml": SignatureStorage.load,
    ".config/containers/certs.d/registry.example/ca.crt": lambda: tls_context(HOST),
    ".config/containers/certs.d/registry.example/me.cert": lambda: tls_context(HOST),
    ".config/containers/auth.json": lambda: find_credentials(HOST),
    ".docker/config.json": lambda: find_credentials(HOST),
    ".dockercfg": lambda: find_credentials(HOST),
}
NAMED = {
    "registries.conf": Registries.load,
    "auth.json": lambda path: find_credentials(HOST, authfile=path),
    "tls.yaml": load_tls_details,
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's home folder; the machine has no configuration."""
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for module in (configuration, certificates):
        monkeypatch.setattr(module, "system_folder", lambda: str(tmp_path / "etc"))
    return tmp_path


def prepare(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".cert":
        path.with_suffix(".key").touch()
    return path


def huge(path):
    with open(path, "wb") as file:
        file.truncate(1 << 30)


def link_to_zeros(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("place", "make"),
    [
        (place, make)
        for place in READERS
        for make in (os.mkfifo, os.mkdir, huge, link_to_zeros)
        if make is not os.mkdir or "conf.d" not in place  # a folder is none of the drop-ins
    ],
)
def test_what_is_no_file_of_settings_is_refused_and_not_waited_for(home, place, make):
    path = prepare(home / place)
    make(path)
    with pytest.raises(TransshipError, match=path.name):
        READERS[place]()


@pytest.mark.parametrize("place", [place for place in READERS if not place.endswith("crt")])
def test_what_is_no_text_is_refused(home, place):
    prepare(home / place).write_bytes(b"\xff\xfe{")
    with pytest.raises(TransshipError):
        READERS[place]()


def test_a_key_that_is_a_pipe_is_not_waited_for(home):
    path = home / ".config/containers/certs.d/registry.example/me.key"
    path.parent.mkdir(parents=True)
    path.with_suffix(".cert").touch()
    os.mkfifo(path)
    with pytest.raises(TransshipError, match=r"me\.key"):
        tls_context(HOST)


@pytest.mark.parametrize("place", [".config/containers/registries.conf", ".config/containers/registries.d/more.yaml"])
def test_a_file_that_is_masked_says_nothing(home, place):
    prepare(home / place).symlink_to(os.devnull)
    READERS[place]()


@pytest.mark.parametrize(
    ("place", "load"),
    [
        ("registries.conf", Registries.load),
        ("registries.conf.d", Registries.load),
        ("registries.conf.d/more.conf", Registries.load),
        ("registries.d", SignatureStorage.load),
        ("registries.d/more.yaml", SignatureStorage.load),
    ],
)
def test_a_link_to_nowhere_does_not_pass_for_nothing(home, place, load):
    """Nobody knows what it was to say, such as what is blocked."""
    path = prepare(home / ".config/containers" / place)
    path.symlink_to(home / "nowhere")
    with pytest.raises(TransshipError, match=path.name):
        load()
    path.unlink()
    load()


def test_a_link_to_a_folder_is_none_of_the_folders_that_are_passed_over(home):
    path = prepare(home / ".config/containers/registries.conf.d/more.conf")
    path.symlink_to(home)
    with pytest.raises(TransshipError, match=path.name):
        Registries.load()


def test_what_a_pipe_says_counts_each_time_that_it_is_asked(home):
    reading, writing = os.pipe()
    os.write(writing, f'[[registry]]\nlocation = "{HOST}"\nblocked = true\n'.encode())
    os.close(writing)
    for _ in range(2):  # as for the source and the destination
        with pytest.raises(TransshipError, match="blocked"):
            Registries.load(f"/dev/fd/{reading}").require_allowed(DockerReference.parse(f"{HOST}/app"))
    os.close(reading)


@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_the_user_names_may_be_a_pipe(home, name):
    text = {"registries.conf": "", "auth.json": "{}", "tls.yaml": ""}[name]
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    NAMED[name](f"/dev/fd/{reading}")
    os.close(reading)
