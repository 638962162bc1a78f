from __future__ import annotations

import h11
import httpcore
import pytest

from transship_docker.network_errors import described


def test_connection_that_ended_with_the_answer_before_is_worth_another_try():
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method="GET", target="/", headers=[("Host", "a")])
    for event in (request, h11.EndOfMessage()):
        connection.send(event)
    connection.receive_data(b"HTTP/1.1 200 OK\r\n\r\nbody")
    connection.receive_data(b"")
    while not isinstance(connection.next_event(), h11.EndOfMessage):
        pass
    connection.start_next_cycle()
    connection.send(request)
    with pytest.raises(h11.RemoteProtocolError) as caught:
        connection.next_event()
    assert described(httpcore.RemoteProtocolError(str(caught.value)), "https://a/") == ("EOF", True)
