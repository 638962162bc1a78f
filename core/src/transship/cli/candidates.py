"""What fits where the cursor is: the answers that the scripts in ``shells`` ask for, with ``transship __complete``.

Somebody waits for them with a finger on the key: only the one command and transport in question are loaded. Nothing is
ever asked of the user, no error is shown, and after three seconds there is no answer.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from transship.cli.options import GLOBAL_NAMES, HIDDEN_COMMANDS, SHELLS, GlobalOptions, disabled_plugins, global_options
from transship.cli.tag_memory import recent_tags
from transship.cli.tag_names import cuts, is_remote, tags_of
from transship.discovery import BY_NAME_KINDS, PluginManager
from transship.plugin.command import FlagParser, UsageError, is_boolean

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.plugin.context import Context
    from transship.plugin.transport import Transport

SHELL_FILES = ":files"
"""The whole answer where the shell's own names of files fit."""

_PATIENCE = 3.0
_MOST = 1000
_MOST_FOLDERS = 50
_IMAGES = ("IMAGE", "SOURCE", "DESTINATION", "DEST", "PLACE", "FIRST", "SECOND")
_FILES = ("FILE", "DIR", "PATH", "MANIFEST", "SIGNATURE")
_SYNC = {"SOURCE": "src", "DESTINATION": "dest"}
_ESCAPED = r"\\(.)|[\"']"


class Candidate(NamedTuple):
    """A word that fits, and a few words on it, ``""`` if there are none."""

    word: str
    help: str = ""


NO_CACHE = "--no-cache"
"""The word before the name of the shell that asks for an answer from no memory."""


def answer(args: Sequence[str], program: str = "transship") -> int:
    """Print what fits for the last of the words after the name of a shell; always well."""
    signal.signal(signal.SIGALRM, lambda number, frame: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    os.environ["PATH"] = ""  # no program can be started: one that keeps credentials might ask for a passphrase
    try:
        lines = list(_lines(args, program))
        sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
        sys.stdout.flush()
    except Exception:  # whatever is wrong, the command itself says so
        return 0
    return 0


def _lines(args: Sequence[str], program: str) -> Iterator[str]:
    may_remember = args[0] != NO_CACHE
    shell, *words = args if may_remember else args[1:]
    if shell not in SHELLS:  # the script is of another program, as the name of this one may be
        return
    words = [_unquoted(word) for word in words] if shell == "bash" else words
    manager = PluginManager(disabled_plugins())
    found = Completion(manager, words[:-1], words[-1], program, may_remember=may_remember).candidates()
    if found is None:
        yield SHELL_FILES
        return
    for candidate in found:
        if candidate.word.isprintable():  # others could end the line, or steer the terminal
            yield "\t".join([candidate.word, *([" ".join(candidate.help.split())] if candidate.help else [])])


def _unquoted(word: str) -> str:
    """A word of bash without its quotes; what it would put in for variables stays as it is written."""
    return re.sub(_ESCAPED, lambda found: found[1] or "", word)


class Completion:
    """One line: the words ``before`` the cursor, after the name of the ``program``, and what is ``current``ly written.

    ``may_remember``: the tags of a registry, from one line to the next.
    """

    def __init__(
        self,
        manager: PluginManager,
        before: Sequence[str],
        current: str,
        program: str = "transship",
        *,
        may_remember: bool = False,
    ) -> None:
        self._manager = manager
        self._program = program
        self._may_remember = may_remember
        self._before = before
        self._current = current
        self._positional: list[str] = []
        self._waiting: click.Option | None = None
        self._only_words = False
        self._command: click.Command | None = None
        self._options = {name: option for option in global_options() for name in option.opts}
        self._read()

    def _read(self) -> None:
        for word in self._before:
            if self._waiting is not None:
                self._waiting = None
            elif word == "--":
                self._only_words = True
            elif word.startswith("-") and word != "-" and not self._only_words:
                option = self._options.get(word)
                self._waiting = option if option is not None and not is_boolean(option) else None
            elif self._command is None and word != "help":
                self._command = self._manager.command(word)
                self._options |= {name: option for option in _options(self._command) for name in option.opts}
            elif self._command is not None:
                self._positional.append(word)

    def candidates(self) -> Iterable[Candidate] | None:
        """What fits; None: names of files, which the shell knows best."""
        current = self._current
        if self._waiting is not None:
            return _fitting(self._values(self._waiting, current), current)
        if current.startswith("-") and not self._only_words:
            name, equals, value = current.partition("=")
            if not equals:
                return _fitting(self._flags(), current)
            option = self._options.get(name)
            values = self._values(option, value) if option is not None else []
            return values and _fitting((Candidate(f"{name}={each.word}", each.help) for each in values), current)
        if self._command is None:
            names = [name for name in self._manager.names("commands") if name not in HIDDEN_COMMANDS]
            return _fitting(map(Candidate, [*names, "help"]), current)
        found = self._argument(len(self._positional))
        return found if found is None else _fitting(found, current)

    def _flags(self) -> Iterator[Candidate]:
        options = _options(self._command) if self._command is not None else []
        for option in [*options, *global_options()]:
            for name in option.opts:
                if name.startswith("--") and not option.hidden:
                    yield Candidate(name, option.help or "")
        yield Candidate("--help", "show this help")
        if self._command is None:
            yield Candidate("--version", "show the version")

    def _values(self, option: click.Option, value: str) -> list[Candidate] | None:
        if is_boolean(option):
            return [Candidate("true"), Candidate("false")]
        choices = list(getattr(option, "choices", ()))
        if kind := getattr(option, "plugins", ""):
            choices += self._manager.names(kind)
        if choices:
            return [Candidate(choice) for choice in choices]
        if option.metavar in _IMAGES:
            return list(self._images(value, "dest_"))
        return None if option.metavar in _FILES else []

    def _argument(self, number: int) -> Iterable[Candidate] | None:
        """What fits as positional argument ``number``, as the command's usage describes it."""
        for metavar in [param.metavar or "" for param in self._params() if isinstance(param, click.Argument)]:
            found: list[Candidate] = []
            for usage in re.sub(r"[\[\]]", "", metavar).split(" | "):
                words = usage.split()
                if words and words[-1].endswith("...") and number >= len(words):
                    words += [words[-1]] * (number - len(words) + 1)
                if number < len(words) and self._agrees(words):
                    matching = self._matching(words[number].removesuffix("..."), number)
                    if matching is None:
                        return None
                    found += matching
            return found
        return []

    def _agrees(self, words: Sequence[str]) -> bool:
        """Whether the arguments so far are those of this usage."""
        return all(not word.islower() or given in word.split("|") for word, given in zip(words, self._positional))  # noqa: B905 - there are fewer arguments

    def _matching(self, word: str, number: int) -> Iterable[Candidate] | None:
        if word.islower():
            return map(Candidate, word.split("|"))
        if word == "KIND":
            return map(Candidate, BY_NAME_KINDS)
        if word == "NAME" and number and self._positional[number - 1] in BY_NAME_KINDS:
            return map(Candidate, self._manager.names(self._positional[number - 1]))
        if word in _FILES:
            return None
        if word not in _IMAGES:
            return []
        prefix = f"{_SYNC[word]}_" if word in _SYNC else ""
        if "--src" in self._options and word in _SYNC:
            return self._place(word, prefix)
        return self._images(self._current, prefix)

    def _place(self, word: str, prefix: str) -> Iterable[Candidate] | None:
        """A side of sync, whose transport is said by a flag."""
        transport = self._values_of_flags().get(_SYNC[word], "")
        if transport in ("dir", "yaml"):
            return None
        beginning = "docker://" if transport == "docker" else f"{transport}:"
        images = self._images(beginning + self._current, prefix) if transport else []
        return [Candidate(image.word.removeprefix(beginning)) for image in images]

    def _images(self, text: str, prefix: str) -> Iterator[Candidate]:
        name, colon, rest = text.partition(":")
        if not colon:
            for known in self._manager.names("transports"):
                yield Candidate("docker://" if known == "docker" else f"{known}:")
            return
        transport = self._manager.transport(name)
        app, flags = self._application(), self._values_of_flags()
        app.globals = GlobalOptions(**{name: flags[name] for name in GLOBAL_NAMES if name in flags})
        context = app.context(text, "source", flags, prefix)
        if is_remote(transport, rest):
            has_own = flags.get("no_cache") or flags.get(f"{prefix}opt")  # options may be anything, secrets too
            words = _remote(transport, rest, context, may_remember=self._may_remember and not has_own)
        else:
            words = _local(transport, rest, context)
        for word in words:
            yield Candidate(f"{name}:{word}")

    def _application(self) -> Application:
        from transship.cli.application import Application

        app = Application(self._program)
        app.manager = self._manager  # it knows by now which plugins there are
        return app

    def _values_of_flags(self) -> Mapping[str, Any]:
        """Those of the line, and the user's defaults of others; what is wrong says nothing."""
        params = [*self._params(), *global_options()]
        given: dict[str, Any] = {}
        with suppress(UsageError):
            given = FlagParser(params).parse_args(list(self._before))[0]
        with suppress(UsageError):
            name = str(self._command.name) if self._command is not None else ""
            return {**self._application().defaults(name, params, given), **given}
        return given

    def _params(self) -> list[click.Parameter]:
        return list(self._command.params) if self._command is not None else []


def _remote(transport: Transport, rest: str, context: Context, *, may_remember: bool) -> Iterator[str]:
    for place, begin in cuts(transport, rest):
        tags = recent_tags(transport, place, begin, context) if may_remember else tags_of(transport, place, context)
        yield from (f"{place}:{tag}" for tag in tags)


def _local(transport: Transport, rest: str, context: Context) -> Iterator[str]:
    """Tags, where what stands before a colon is there; names of files and folders otherwise."""
    for place, _ in cuts(transport, rest):
        if os.path.lexists(place):
            yield from (f"{place}:{tag}" for tag in tags_of(transport, place, context))
            return
    folder, begin = os.path.split(rest)
    with os.scandir(folder or ".") as entries:
        shown = [entry for entry in entries if entry.name.startswith(begin or ("", "."))]
    shown = [entry for entry in shown if begin or not entry.name.startswith(".")][:_MOST]
    are_few = len(shown) <= _MOST_FOLDERS
    for entry in sorted(shown, key=lambda entry: entry.name):
        path = os.path.join(folder, entry.name)
        if not entry.is_dir():
            yield path
        elif are_few and _holds_tags(transport, path, context):
            yield f"{path}:"
        else:
            yield f"{path}/"


def _holds_tags(transport: Transport, path: str, context: Context) -> bool:
    try:
        return bool(tags_of(transport, path, context))
    except Exception:
        return False


def _fitting(found: Iterable[Candidate] | None, begin: str) -> list[Candidate] | None:
    return None if found is None else [each for each in found if each.word.startswith(begin)]


def _options(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option)]
