"""transship completion: scripts by which shells complete command lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from transship import hookimpl
from transship.cli.flags import GoCommand, UsageError
from transship.cli.options import global_options
from transship.errors import PluginError

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.discovery import PluginManager

_PREFACES = {
    "bash": "",
    "zsh": "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n",
}
"""What a shell needs before the script, which is bash's: zsh can be taught to understand it."""

_PLAIN = re.compile(r"[\w.:=-]+", re.ASCII)
"""Words that mean nothing but themselves to a shell; others, which a plugin may have, are left out."""

_SCRIPT = """\
_transship() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= flags= word
    for word in "${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do
        case $word in
            @COMMANDS@) command=$word; break ;;
        esac
    done
    case $command in
@CASES@
    esac
    COMPREPLY=()
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$flags @GLOBAL@" -- "$current"))
    elif [[ -z $command ]]; then
        COMPREPLY=($(compgen -W "@WORDS@" -- "$current"))
    elif [[ -n $current && $current != : && $previous != : ]]; then
        COMPREPLY=($(compgen -W "@TRANSPORTS@" -- "$current"))
        [[ ${#COMPREPLY[@]} -eq 0 ]] || compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _transship transship
"""


@click.command("completion", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="bash|zsh")
@click.pass_obj
def completion(app: Application, /, arguments: tuple[str, ...]) -> None:
    """Print a script by which a shell completes commands, flags and transports

    For one bash or zsh: source <(transship completion bash). For all of them: write it to the place that your shell
    reads such scripts from.
    """
    if len(arguments) != 1 or arguments[0] not in _PREFACES:
        raise UsageError(f"Usage: transship completion {'|'.join(_PREFACES)}")
    click.echo(_PREFACES[arguments[0]] + _script(app.manager), nl=False)


def _script(manager: PluginManager) -> str:
    commands = [command for command in _commands(manager) if not command.hidden]
    words = _plain(str(command.name) for command in commands)
    cases = [f'        {command.name}) flags="{_flags(command.params)}" ;;' for command in commands]
    pieces = {
        "COMMANDS": words.replace(" ", "|"),
        "CASES": "\n".join(cases),
        "GLOBAL": f"{_flags(global_options())} --help",
        "WORDS": words,
        "TRANSPORTS": _plain(f"{name}:" for name in manager.names("transports")),
    }
    return re.sub(r"@(\w+)@", lambda match: pieces[match[1]], _SCRIPT)


def _commands(manager: PluginManager) -> Iterator[click.Command]:
    """Those that can be loaded and named."""
    for name in manager.names("commands"):
        if _PLAIN.fullmatch(name):
            try:
                yield manager.command(name)
            except PluginError:  # the command itself says what is wrong with it
                continue


def _flags(params: Iterable[click.Parameter]) -> str:
    options = [param for param in params if isinstance(param, click.Option) and not param.hidden]
    return _plain(name for option in options for name in option.opts if name.startswith("--"))


def _plain(words: Iterable[str]) -> str:
    return " ".join(word for word in words if _PLAIN.fullmatch(word))


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [completion]
