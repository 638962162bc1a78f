"""transship completion: what a real bash makes of the script."""

from __future__ import annotations

import subprocess

import pytest

from transship import hookimpl
from transship.cli.application import Application
from transship.plugin.command import Flag, GoCommand

_ASK = """
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_transship
echo "${COMPREPLY[*]}"
"""


def completed(script: str, *words: str) -> list[str]:
    """What bash offers for the last one of ``words``."""
    ran = subprocess.run(["bash", "-c", script + _ASK, "bash", *words], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.fixture
def script(run):
    return run("completion", "bash", policy=True).out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("transship insp", ["inspect"]),
        ("transship --debug insp", ["inspect"]),
        ("transship untr", []),
        ("transship --pol", ["--policy"]),
        ("transship copy --dest-compress-", ["--dest-compress-format", "--dest-compress-level"]),
        ("transship copy -q --dest-compress-l", ["--dest-compress-level"]),
        ("transship inspect --dest-compress-l", []),
        ("transship inspect --pol", ["--policy"]),
        ("transship copy --encrypt", []),
        ("transship copy oc", ["oci:", "oci-archive:"]),
        ("transship copy dir:a oci-", ["oci-archive:"]),
        ("transship copy oci : d", []),
        ("transship copy oci :", []),
    ],
)
def test_bash_offers_what_fits(script, words, offered):
    assert sorted(completed(script, *words.split())) == sorted(offered)


def test_bash_leaves_an_empty_word_to_the_names_of_files(script):
    assert completed(script, "transship", "copy", "") == []


def test_zsh_gets_the_same_script_with_a_beginning(run, script):
    text = run("completion", "zsh", policy=True).out
    assert text.endswith(script)
    assert "bashcompinit" in text.removesuffix(script)


def test_commands_of_plugins_are_offered_unless_their_names_say_something_to_a_shell(capsys):
    class Plugin:
        @hookimpl
        def transship_commands(self):
            return [
                GoCommand("greet", params=[Flag("--loudly"), Flag("--$(touch broken)", "broken")]),
                GoCommand("x`touch broken`"),
            ]

    app = Application()
    app.manager.register(Plugin())
    assert app.run(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "touch" not in script
    assert completed(script, "transship", "gre") == ["greet"]
    assert completed(script, "transship", "greet", "--lou") == ["--loudly"]


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_not_known(run, arguments):
    outcome = run("completion", *arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert "bash|zsh" in outcome.fatal
