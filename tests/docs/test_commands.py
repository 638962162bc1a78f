"""Commands that pages name without running them are commands that there are."""

from __future__ import annotations

import re
import shlex

import pytest
from docs_pages import DOCS, ROOT

from transship.cli.application import Application

PAGES_OF_COMMANDS = [ROOT / "README.md", DOCS / "how-to" / "come-from-other-tools.md"]
COMMANDS = [
    pytest.param(command, id=command)
    for page in PAGES_OF_COMMANDS
    for row in re.findall(r"^\|.*\|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    for command in re.findall(r"`transship ([^`]+)`", row)
]


def parse(text: str) -> None:
    """Read the command line as the program does, and stop before anything is done."""
    application = Application()
    name, *words = shlex.split(text)
    command = application.manager.command(name)
    context = command.make_context(f"transship {name}", words, obj=application)
    transports = application.manager.names("transports")
    for argument in context.params.get("arguments", ()):
        transport, colon, _ = argument.partition(":")
        assert not colon or transport in transports


def test_there_are_commands_to_read():
    assert len(COMMANDS) > 50


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_a_table_can_be_read(command):
    parse(command)


@pytest.mark.parametrize("command", ["copy --nowhere oci:a:b oci:b:b", "nowhere", "copy nowhere:a oci:b:b"])
def test_what_is_no_command_is_noticed(command):
    with pytest.raises(Exception, match="nowhere"):
        parse(command)
