"""Connections that are kept, and taken again."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

import pytest

from transship.plugin.cancellation import Cancellation
from transship_docker.connections import Backend
from transship_docker.errors import NetworkError
from transship_docker.network import Network
from transship_docker.pool import IDLE_LIMIT
from transship_docker.responses import read_body

ANSWERS = {
    b"/": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"/close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    b"/moved": b"HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 5\r\n\r\nmoved",
    b"/stuck": b"HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 5\r\n\r\n",
}


class Server:
    """Answers each request at any loopback address, /close as the last one of its connection.

    /moved leads to /; so does /stuck, but its body never comes. HEAD is answered with a body, as no server should.

    ``accepted`` is how many connections were made, ``open`` how many there are.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.open = 0
        self._changed = threading.Condition()
        self._socket = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - all of 127.0.0.0/8 are this machine
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def wait_for(self, count: int) -> bool:
        """Whether soon only ``count`` connections are open."""
        with self._changed:
            return self._changed.wait_for(lambda: self.open == count, 5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._socket.accept()[0]
                with self._changed:
                    self.accepted += 1
                    self.open += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, client.makefile("rb") as lines:
            while request := lines.readline():
                while lines.readline().strip():
                    pass
                client.sendall(ANSWERS[request.split()[1]])
                if request.split()[1] == b"/close":
                    break
        with self._changed:
            self.open -= 1
            self._changed.notify_all()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def network():
    network = Network(ssl.create_default_context(), Cancellation(), "tests", insecure=True)
    yield network
    network.close()


def ask(network, server, path="/", host="127.0.0.1", method="GET"):
    return network.send(method, f"http://{host}:{server.port}{path}")


def test_what_was_read_to_its_end_is_taken_again(network, server):
    for _ in range(3):
        assert read_body(ask(network, server), 10) == b"ok"
    assert server.accepted == 1


def test_each_request_that_is_under_way_has_a_connection_of_its_own(network, server):
    answers = [ask(network, server) for _ in range(3)]
    assert [read_body(answer, 10) for answer in reversed(answers)] == [b"ok"] * 3
    assert server.accepted == 3


def test_only_so_many_are_kept_of_those_that_were_in_use_together(network, server):
    for answer in [ask(network, server) for _ in range(IDLE_LIMIT + 5)]:
        read_body(answer, 10)
    assert server.wait_for(IDLE_LIMIT)


def test_only_so_many_are_kept_wherever_they_lead(network, server):
    for number in range(1, IDLE_LIMIT + 6):
        read_body(ask(network, server, host=f"127.0.0.{number}"), 10)
    assert server.wait_for(IDLE_LIMIT)
    read_body(ask(network, server, host=f"127.0.0.{number}"), 10)
    assert server.accepted == IDLE_LIMIT + 5  # those used last are kept


def test_an_open_one_is_taken_before_a_new_one_is_made(network, server):
    kept, closed = ask(network, server), ask(network, server, "/close")
    read_body(kept, 10)
    read_body(closed, 10)
    read_body(ask(network, server), 10)
    assert server.accepted == 2


def test_one_that_led_elsewhere_in_some_words_is_taken_again(network, server):
    for _ in range(3):
        assert read_body(ask(network, server, "/moved"), 10) == b"ok"
    assert server.accepted == 1


def test_one_that_brought_more_than_the_answer_is_not_taken_again(network, server):
    read_body(ask(network, server, method="HEAD"), 10)
    assert read_body(ask(network, server, method="POST"), 10) == b"ok"
    assert server.accepted == 2


def test_closing_twice_does_not_take_a_connection_from_whom_it_was_lent_to_next(network, server):
    first = ask(network, server)
    read_body(first, 10)
    second = ask(network, server)
    first.close()
    assert read_body(second, 10) == b"ok"
    read_body(ask(network, server), 10)
    assert server.accepted == 1


def test_nobody_waits_long_for_words_that_are_not_needed(network, server, monkeypatch):
    monkeypatch.setattr("transship_docker.network._SHORT_TIMEOUT", 0.1)
    start = time.monotonic()
    assert read_body(ask(network, server, "/stuck"), 10) == b"ok"
    assert time.monotonic() - start < 5
    assert server.accepted == 2


def test_all_are_closed_with_the_network(network, server):
    read_body(ask(network, server), 10)
    under_way = ask(network, server), ask(network, server)
    network.close()
    assert server.wait_for(0)
    for answer in under_way:
        answer.close()
    network.close()


def test_one_that_was_being_made_when_all_were_closed_is_not_left_open(network, server, monkeypatch):
    def closing_meanwhile(self, *arguments, **further):
        network.close()
        return connect(self, *arguments, **further)

    connect = Backend.connect_tcp
    monkeypatch.setattr(Backend, "connect_tcp", closing_meanwhile)
    answer = ask(network, server)
    read_body(answer, 10)
    assert server.wait_for(0)


def test_an_address_in_other_letters_is_what_it_is_when_a_proxy_is_chosen(network, server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    answer = ask(network, server, host="127\u30020\u30020\u30021")  # dots that become those of 127.0.0.1
    assert answer.request.url == f"http://127.0.0.1:{server.port}/"
    assert read_body(answer, 10) == b"ok"


@pytest.mark.parametrize(
    "address", [" http://127.0.0.1/", "http://[::1/", "ftp://127.0.0.1/", "http:////127.0.0.1/", "http://>:99999/"]
)
def test_an_address_that_cannot_be_asked_is_refused(network, address):
    with pytest.raises(NetworkError):
        network.send("GET", address)
