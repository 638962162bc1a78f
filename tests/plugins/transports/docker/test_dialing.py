"""Opening connections."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time

import pytest

from transship.errors import CancelledError, DeadlineExceededError
from transship.plugin.cancellation import Cancellation
from transship_docker.dialing import dial, look_up

SOON = 2.0


@contextlib.contextmanager
def listening(family=socket.AF_INET, host="127.0.0.1", port=0):
    with socket.socket(family) as server:
        server.bind((host, port))
        server.listen(10)
        yield server.getsockname()[1]


@contextlib.contextmanager
def not_answering(host="127.0.0.2"):
    """A port where connections are neither taken nor refused: more of them wait already than may."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((host, 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.fixture
def resolve_to(monkeypatch):
    """Lets every name have these addresses."""

    def resolve_to(*addresses):
        infos = [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host, port in addresses
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: infos)

    return resolve_to


def peer_of(*arguments):
    with contextlib.closing(dial("registry.test", 5000, 20, Cancellation(), *arguments)) as connection:
        return connection.getpeername()[:2]


@pytest.fixture(autouse=True)
def _in_time():
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < SOON


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_whoever_listens_is_reached(host):
    with listening() as port, contextlib.closing(dial(host, port, 20, Cancellation())) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)


def test_ipv6_will_do():
    with (
        listening(socket.AF_INET6, "::1") as port,
        contextlib.closing(dial("::1", port, 20, Cancellation())) as connection,
    ):
        assert connection.family == socket.AF_INET6


def test_an_address_that_refuses_is_followed_by_the_next(resolve_to):
    with listening() as port:
        resolve_to(("127.0.0.1", 1), ("::1", 1), ("127.0.0.1", port))
        assert peer_of() == ("127.0.0.1", port)


def test_an_address_that_keeps_us_waiting_is_overtaken(resolve_to):
    with not_answering() as silent, listening() as port:
        resolve_to(*[("127.0.0.2", silent)] * 3, ("127.0.0.1", port))
        assert peer_of() == ("127.0.0.1", port)


def test_families_take_turns(resolve_to):
    with not_answering() as silent, listening(socket.AF_INET6, "::1") as port:
        resolve_to(*[("127.0.0.2", silent)] * 20, ("::1", port))
        assert peer_of()[0] == "::1"


def test_a_family_that_this_machine_does_not_know_is_passed_over(monkeypatch):
    with listening() as port:
        infos = [
            (9999, socket.SOCK_STREAM, 6, "", ("x", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: infos)
        assert peer_of() == ("127.0.0.1", port)


def test_refusals_of_all_are_an_error(resolve_to):
    resolve_to(("127.0.0.1", 1), ("::1", 1))
    with pytest.raises(OSError, match="refused") as caught:
        peer_of()
    assert caught.value.errno == errno.ECONNREFUSED


def test_no_address_is_an_error(resolve_to):
    resolve_to()
    with pytest.raises(OSError, match="address"):
        peer_of()


def test_silence_ends_in_time():
    with not_answering() as port, pytest.raises(TimeoutError):
        dial("127.0.0.2", port, 0.5, Cancellation())


def test_cancelling_ends_a_connection_that_does_not_come():
    cancellation = Cancellation()
    threading.Timer(0.2, cancellation.cancel).start()
    with not_answering() as port, pytest.raises(CancelledError):
        dial("127.0.0.2", port, 20, cancellation)


class TestResolver:
    """Names are looked up by others, who may take their time."""

    @pytest.fixture
    def silent(self, monkeypatch):
        """A resolver that does not answer."""
        released = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: released.wait(20) and [])
        yield
        released.set()

    @pytest.mark.usefixtures("silent")
    def test_a_deadline_ends_it(self):
        with pytest.raises(DeadlineExceededError):
            look_up("registry.test", 5000, 20, Cancellation(0.3))

    @pytest.mark.usefixtures("silent")
    def test_it_is_given_up_in_time(self):
        with pytest.raises(TimeoutError):
            look_up("registry.test", 5000, 0.5, Cancellation())

    def test_what_is_no_name_is_an_error(self):
        with pytest.raises((OSError, UnicodeError)):
            look_up("a" * 300, 5000, 20, Cancellation())


def test_nothing_is_left_open(resolve_to, recwarn):
    """A socket that nobody closes is a warning."""
    with not_answering() as silent, listening() as port:
        resolve_to(("127.0.0.1", 1), ("127.0.0.2", silent), ("127.0.0.2", silent), ("127.0.0.1", port))
        peer_of()
    with not_answering() as silent:
        resolve_to(("127.0.0.2", silent))
        with pytest.raises(TimeoutError):
            dial("registry.test", silent, 0.3, Cancellation())
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]
