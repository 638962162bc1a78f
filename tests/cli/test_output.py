"""Log lines, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re

import pytest

from transship.cli.options import coloured
from transship.cli.output import Log, printable


def _line(message: str, **fields: str) -> str:
    stream = io.StringIO()
    Log(stream).warning(message, **fields)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("word", "word"),
        ("docker.io/library/app@sha256^+-_", "docker.io/library/app@sha256^+-_"),
        ("two words", '"two words"'),
        ("a:b", '"a:b"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines", '"two\\nlines"'),
        ("", '""'),
    ],
)
def test_message_is_quoted_where_need_be(message, shown):
    assert re.fullmatch(r'time="[^"]+" level=warning msg=(.*)\n', _line(message), re.DOTALL)[1] == shown


@pytest.mark.parametrize(
    "url",
    [
        "sftp://ann:sesame@host/path:tag",
        "s3://KEY:ses/ame@bucket/path",
        "http://:sesame@proxy:3128",
        "zip://::s3://KEY:sesame@bucket/of.zip:tag",
    ],
)
@pytest.mark.parametrize("is_json", [False, True])
def test_passwords_in_urls_are_not_shown(url, is_json):
    stream = io.StringIO()
    log = Log(stream)
    log.is_json = is_json
    log.warning(f"Invalid source name {url}: refused")
    assert "ame@" not in stream.getvalue()
    assert "refused" in stream.getvalue()


@pytest.mark.parametrize(
    "url",
    [
        "docker://host:5000/team/app@sha256:0123",
        "docker://host:5000/team/app:1.0@sha512:0123",
        "docker://host:5000/team/app@@unknown-digest@@",
        "sftp://ann@host/path:tag",
        "oci:/path:tag@1",
    ],
)
def test_names_without_a_password_are_shown_as_they_are(url):
    assert url in _line(f"copy {url}")


def test_time_is_rfc_3339():
    assert re.match(r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)" ', _line("x"))


def test_further_values_are_sorted_and_quoted():
    assert _line("x", zebra="1", apple="a b").endswith('msg=x apple="a b" zebra=1\n')


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x07", "\x9b31m", "\r", "\u202e", "\u2028", "\x00", "\udc80"])
def test_nothing_can_steer_a_terminal(hostile):
    shown = _line(f"name{hostile}")
    assert hostile not in shown
    shown.encode("utf-8")
    assert printable(hostile) != hostile


def test_debug_lines_are_shown_only_if_asked_for():
    stream = io.StringIO()
    log = Log(stream)
    log.debug("hidden")
    log.level = "debug"
    log.debug("shown")
    assert "hidden" not in stream.getvalue()
    assert "level=debug msg=shown" in stream.getvalue()


class _Closed(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError


def test_stream_that_nobody_reads_is_no_error():
    Log(_Closed()).fatal("nobody hears")


def test_terminal_gets_short_coloured_lines():
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        log = Log(stream)
        log.warning("careful", key="a b")
        log.fatal("two\nlines")
        shown = ""
        while "lines" not in shown:  # a terminal hands over what it has so far
            shown += os.read(master, 4096).decode().replace("\r\n", "\n")
    os.close(master)
    assert shown.startswith("\x1b[33mWARN\x1b[0m[0000] careful")
    assert "\n\x1b[31mFATA\x1b[0m[0000] two\nlines" in shown
    assert '="a b"' in shown


def test_terminal_gets_no_colours_if_they_are_forbidden():
    stream = io.StringIO()
    stream.isatty = lambda: True
    Log(stream, coloured=False).warning("careful", key="value")
    assert stream.getvalue() == "WARN[0000] careful  key=value\n"


def test_a_file_gets_colours_if_they_are_asked_for():
    stream = io.StringIO()
    Log(stream, coloured=True).warning("careful")
    assert stream.getvalue() == "\x1b[33mWARN\x1b[0m[0000] careful\n"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"NO_COLOR": ""}, None),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR_FORCE": "0"}, None),
        ({"TERM": "dumb"}, False),
    ],
)
def test_the_environment_decides_on_colours(monkeypatch, environment, expected):
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert coloured() is expected


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", "debug info warning error fatal"), ("info", "info warning error fatal"), ("error", "error fatal")],
)
def test_less_important_lines_are_left_out(level, shown):
    stream = io.StringIO()
    log = Log(stream)
    log.level = level
    for name in ("debug", "info", "warning", "error", "fatal"):
        getattr(log, name)("x")
    assert re.findall(r"level=(\w+)", stream.getvalue()) == shown.split()
