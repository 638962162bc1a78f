"""Commands, a plugin's and the program's own: what they read from the command line and from the user, and print.

Flags are as Skopeo's users know them: GNU style, anywhere after the command, ``--flag=false`` for booleans. click
describes the flags and writes the help; how they are read follows Go's pflag, which scripts rely on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import click
from click.core import iter_params_for_processing

from transship.errors import TransshipError
from transship.plugin.suggestion import did_you_mean

if TYPE_CHECKING:
    from transship.plugin.context import Context

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_INTEGER = r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|[1-9](?:_?[0-9])*|0)"
_GO_OCTAL = r"^([+-]?)0(?=[0-7_])"
_LONGEST_INTEGER = 200
_INPUT_LIMIT = 1 << 20
_UNBROKEN_HYPHEN = "\u2011"
_TOO_LARGE = 1 << 63
_NUMBER_PART = r"(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})"
_DURATION_START = rf"(?:{_NUMBER_PART}(?:ns|us|µs|μs|ms|s|m|h))*+{_NUMBER_PART}(?P<unit>[^0-9.]*)"
_DURATION_PART = r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h)"


class Application(Protocol):
    """The running program, what a command gets through ``click.pass_obj``. ``program`` is its name in messages."""

    program: str

    def context(self, image: str, side: str, flags: Mapping[str, Any], prefix: str = "") -> Context:
        """What the command line says to the transport of ``image`` as ``side``, ``"source"`` or ``"destination"``.

        Only the word before ``:`` matters in ``image``. ``flags`` are the command's, by the names that the image flags
        of the program's own commands have; what is not in it was not given. Their names begin with ``prefix``.
        """
        ...

    def global_options(self) -> list[click.Option]:
        """The flags that every command takes, hidden in its help."""
        ...

    def start_clock(self, seconds: float) -> None:
        """Let the command have this much time from now on, unless that was said before; 0 or less: any."""

    def defaults(self, command: str, params: Sequence[click.Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
        """What the user's file of defaults says of the flags of ``command`` that are not ``given``."""
        ...

    def take_globals(self, params: dict[str, Any]) -> None:
        """Move the global flags out of a command's parameters, and let them take effect."""


class UsageError(TransshipError):
    """The command line is wrong. ``show_help``: the command's help goes to standard error first."""

    def __init__(self, message: str, *, show_help: bool = False) -> None:
        super().__init__(message)
        self.show_help = show_help


class GoBool(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """``true`` or ``false`` in any spelling that Go takes."""

    name = "bool"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """The boolean, or a usage error."""
        if isinstance(value, bool):
            return value
        if value not in _BOOLEANS:
            self.fail(f'strconv.ParseBool: parsing "{value}": invalid syntax')
        return _BOOLEANS[value]


class GoInt(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """An integer."""

    name = "int"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The integer, or a usage error."""
        if isinstance(value, int):
            return value
        if not re.fullmatch(_INTEGER, value):
            self.fail(f'strconv.ParseInt: parsing "{value}": invalid syntax')
        number = int(re.sub(_GO_OCTAL, r"\g<1>0o", value), 0) if len(value) <= _LONGEST_INTEGER else _TOO_LARGE
        if not -_TOO_LARGE <= number < _TOO_LARGE:
            self.fail(f'strconv.ParseInt: parsing "{value}": value out of range')
        return number


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """A duration such as ``1m30s``; the value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds, or a usage error."""
        if isinstance(value, (int, float)):
            return float(value)
        sign, text = (-1, value[1:]) if value.startswith("-") else (1, value.removeprefix("+"))
        if text == "0":
            return 0.0
        parts = re.findall(_DURATION_PART, text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.fail(_what_is_wrong(value, text))
        return float(sign * sum(float(number) * _UNITS[unit] for number, unit in parts))


def _what_is_wrong(value: str, text: str) -> str:
    begin = re.match(_DURATION_START, text)
    if begin is None:
        return f'time: invalid duration "{value}"'
    unit = begin["unit"]
    return f'time: unknown unit "{unit}" in duration "{value}"' if unit else f'time: missing unit in duration "{value}"'


GO_BOOL = GoBool()
GO_INT = GoInt()
DURATION = Duration()


class Flag(click.Option):
    """A boolean flag; None when it was not given and ``default`` is None."""

    def __init__(self, *names: str, default: bool | None = False, **settings: Any) -> None:
        super().__init__(names, type=GO_BOOL, default=default, metavar="", **settings)
        self.is_boolean = True


class Value(click.Option):
    """A flag with a value.

    ``choices`` are values that shells offer, and ``plugins`` a kind of plugins whose names they offer; the command
    itself says which it takes.
    """

    def __init__(self, *names: str, choices: Sequence[str] = (), plugins: str = "", **settings: Any) -> None:
        super().__init__(names, **settings)
        self.choices = choices
        self.plugins = plugins


def split_list(values: Sequence[str]) -> list[str]:
    """The members of a flag that may be repeated and whose values are split on commas, as CSV."""
    import csv

    try:
        return [member for value in values for member in next(csv.reader([value], strict=True), [])]
    except csv.Error as error:
        raise UsageError(f"invalid list {', '.join(values)}: {error}") from error


class _HelpFormatter(click.HelpFormatter):
    """Breaks lines at blanks only: names of flags and transports stay in one piece."""

    def write(self, string: str) -> None:
        super().write(string.replace(_UNBROKEN_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _UNBROKEN_HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        unbroken = [(term, text.replace("-", _UNBROKEN_HYPHEN)) for term, text in rows]
        super().write_dl(unbroken, col_max, col_spacing)


class _Context(click.Context):
    formatter_class = _HelpFormatter


def _show_help(ctx: click.Context, param: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not ctx.resilient_parsing:
        click.echo(ctx.get_help())
        ctx.exit()


class GoCommand(click.Command):
    """A command whose flags are read as Go's pflag reads them. Arguments that are no flags: ``arguments``.

        @click.command("greet", cls=GoCommand, params=[Flag("--loud")])
        @click.argument("arguments", nargs=-1)
        @click.pass_obj
        def greet(app: Application, /, arguments: tuple[str, ...], loud: bool) -> None: ...

    The global flags may stand among its own.
    """

    context_class = _Context

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._help_flag = click.Option(
            ["-h", "--help"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            help="Show this message and exit.",
            callback=_show_help,
        )

    def get_help_option(self, ctx: click.Context) -> click.Option:
        """The flag ``--help``. click's own would begin with a long look for translations."""
        return self._help_flag

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line into ``ctx.params``; click calls this."""
        params = self.get_params(ctx)
        values, order = FlagParser(params).parse_args(args)
        application: Application | None = ctx.obj
        if application is not None and not any("--help" in param.opts for param in order):
            application.start_clock(values.get("command_timeout", 0))  # what has the defaults may be a pipe
            ctx.default_map = application.defaults(str(self.name), params, values)
        for param in iter_params_for_processing(order, params):
            param.handle_parse_result(ctx, values, [])
        return []

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, which names the program as it was called; click calls this."""
        program = ctx.obj.program if ctx.obj else "transship"
        written, self.help = self.help, (self.help or "").replace("transship ", f"{program} ")
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = written

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's flags, and the global ones, which its help does not show."""
        application: Application | None = ctx.obj
        return [*super().get_params(ctx), *(application.global_options() if application else [])]

    def invoke(self, ctx: click.Context) -> Any:
        """Take the global flags out of the command's own, then run it."""
        ctx.obj.take_globals(ctx.params)
        return super().invoke(ctx)


class FlagParser:
    """Reads flags as pflag does."""

    def __init__(self, params: Sequence[click.Parameter]) -> None:
        self._options = {name: param for param in params if isinstance(param, click.Option) for name in param.opts}
        self._arguments = [param for param in params if isinstance(param, click.Argument)]

    def parse_args(self, args: list[str]) -> tuple[dict[str, Any], list[click.Parameter]]:
        """The values by parameter name, arguments included, and the order in which flags came."""
        values: dict[str, Any] = {}
        positional: list[str] = []
        order: list[click.Parameter] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if word == "--":
                positional += rest
                break
            if word.startswith("--"):
                self._long(word, rest, values, order)
            elif word.startswith("-") and len(word) > 1:
                self._short(word, rest, values, order)
            else:
                positional.append(word)
        for argument in self._arguments:
            values[str(argument.name)] = tuple(positional)
        return values, order

    def _long(self, word: str, rest: list[str], values: dict[str, Any], order: list[click.Parameter]) -> None:
        name, equals, value = word.partition("=")
        if name == "--" or name.startswith("---"):
            raise UsageError(f"bad flag syntax: {word}")
        option = self._options.get(name)
        if option is None:
            meant = did_you_mean(name, self._options, prefix="--")
            raise UsageError(f"unknown flag: {name}{meant}")
        if not equals:
            if is_boolean(option):
                value = "true"
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: {name}")
        self._set(option, name, value, values, order)

    def _short(self, word: str, rest: list[str], values: dict[str, Any], order: list[click.Parameter]) -> None:
        letters = word[1:]
        while letters:
            rest_of_word = "-" + letters
            name, letters = "-" + letters[0], letters[1:]
            option = self._options.get(name)
            if option is None:
                raise UsageError(f"unknown shorthand flag: '{name[1]}' in {rest_of_word}")
            if len(letters) > 1 and letters.startswith("="):
                value, letters = letters[1:], ""
            elif is_boolean(option):
                value = "true"
            elif letters:
                value, letters = letters, ""
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: '{name[1]}' in {rest_of_word}")
            self._set(option, name, value, values, order)

    def _set(
        self,
        option: click.Option,
        name: str,
        value: str,
        values: dict[str, Any],
        order: list[click.Parameter],
    ) -> None:
        try:
            converted = option.type.convert(value, option, None)
        except click.BadParameter as error:
            raise UsageError(f'invalid argument "{value}" for "{_shown(option)}" flag: {error.message}') from None
        key = str(option.name)
        if option.multiple:
            values.setdefault(key, []).append(converted)
        else:
            values[key] = converted
        order.append(option)


def is_boolean(option: click.Option) -> bool:
    """Whether ``option`` can stand without a value."""
    return option.is_flag or getattr(option, "is_boolean", False)


def _shown(option: click.Option) -> str:
    return ", ".join(sorted(option.opts, key=len))


def print_line(text: str) -> None:
    """Write a result to standard output, with a newline."""
    sys.stdout.write(text + "\n")


def ask(prompt: str) -> str:
    """The user's answer to ``prompt``, one line of standard input. Raises ``TransshipError`` if there is none."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    line = _standard_input().readline(_INPUT_LIMIT)
    if not line:
        raise TransshipError("EOF")
    return _as_text(line).rstrip("\r\n")


def ask_secret(prompt: str) -> str:
    """As ``ask``, but nothing of what is typed shows; standard input must be a terminal."""
    if not _standard_input().isatty():
        raise TransshipError("standard input is not a terminal")
    import getpass

    sys.stdout.flush()
    try:
        return getpass.getpass(prompt, sys.stdout)
    except EOFError:
        raise TransshipError("EOF") from None


def read_standard_input() -> str:
    """All of standard input, at most 1 MiB."""
    data = _standard_input().read(_INPUT_LIMIT + 1)
    if len(data) > _INPUT_LIMIT:
        raise TransshipError(f"standard input: exceeded maximum allowed size of {_INPUT_LIMIT} bytes")
    return _as_text(data)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise TransshipError("standard input is closed")
    return sys.stdin.buffer


def _as_text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TransshipError(f"standard input: not UTF-8 at byte {error.start}") from None
