"""One run of the program: the manager of plugins, the log, the global flags, and the way from a word to a command."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from transship.cli.deadline import Deadline
from transship.cli.flags import Flag, FlagParser, GoCommand, UsageError, is_boolean
from transship.cli.main import version_of
from transship.cli.options import (
    DEFAULT_TEMPORARY_DIRECTORY,
    GLOBAL_NAMES,
    HIDDEN_COMMANDS,
    GlobalOptions,
    coloured,
    credentials_of,
    disabled_plugins,
    global_options,
    image_settings,
    transport_settings,
)
from transship.cli.output import Log
from transship.discovery import PluginManager
from transship.errors import NotFoundError, PluginError, TransshipError, UnknownPluginError
from transship.plugin.cancellation import Cancellation
from transship.plugin.suggestion import near

if TYPE_CHECKING:
    from transship.plugin.context import Context
    from transship.policy.document import Policy

_CHANGING = ("copy", "sync", "delete", "login", "logout")  # the tags that there are, or that the user sees
_ROOT_FLAGS = (("-h, --help", "show this, or after a command its own flags"), ("-v, --version", "show the version"))
_SUMMARY = "Various operations with container images and container image registries"
EXIT_FAILURE, EXIT_NOT_FOUND, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143


class Terminated(BaseException):
    """SIGTERM arrived."""


class Application:
    """What commands get as ``ctx.obj``."""

    def __init__(self, program: str = "transship") -> None:
        self.program = program
        self.manager = PluginManager(disabled_plugins())
        self.log = Log(coloured=coloured())
        self.globals = GlobalOptions()
        self.cancellation = Cancellation()
        self._deadline = Deadline(self.log, EXIT_FAILURE)
        self._is_timed = False
        self._tls_verify: bool | None = None
        self._sources: dict[str, Context] = {}

    def run(self, args: list[str]) -> int:
        """Run the command line ``args``; the answer is the exit code."""
        interruption = _Interruption()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interruption.handle)
        self.log.is_json = _wants_json(args)
        try:
            self._dispatch(args)
            sys.stdout.flush()
            return 0
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except Terminated:
            return EXIT_TERMINATED
        except BrokenPipeError:  # whoever read standard output has gone: there is nobody to tell
            _drop_unwritten_output()
            return EXIT_FAILURE
        except TransshipError as error:
            code = EXIT_NOT_FOUND if _is_not_found(error) else EXIT_FAILURE
            self.log.fatal(error, code, hint=self._hint() if code == EXIT_NOT_FOUND else "")
            return code
        except click.exceptions.Exit as error:
            return error.exit_code
        except click.ClickException as error:
            self.log.fatal(error.format_message(), EXIT_FAILURE)
            return EXIT_FAILURE
        except click.Abort:
            self.log.fatal("aborted", EXIT_FAILURE)
            return EXIT_FAILURE
        except OSError as error:
            self.log.fatal(error, EXIT_FAILURE)
            _drop_unwritten_output()
            return EXIT_FAILURE

    def global_options(self) -> list[click.Option]:
        """The flags that every command takes, hidden in its help."""
        return list(global_options(hidden=True))

    def take_globals(self, params: dict[str, Any]) -> None:
        """Move the global flags out of a command's parameters, and let them take effect."""
        values = {name: params.pop(name) for name in GLOBAL_NAMES if name in params}
        values["tmpdir"] = values.get("tmpdir") or DEFAULT_TEMPORARY_DIRECTORY
        self.globals = GlobalOptions(**values, tls_verify=self._tls_verify)
        self.log.is_json = self.globals.log_format == "json"
        self.log.level = "debug" if self.globals.debug else self.globals.log_level
        if self._tls_verify is not None:
            self.log.warning("'--tls-verify' is deprecated, please set this on the specific subcommand")
        if self.globals.insecure_policy and self.globals.require_signed:
            raise UsageError("--insecure-policy and --require-signed are mutually exclusive")
        self.start_clock(self.globals.command_timeout)
        for error in self.manager.load_extensions():
            self.log.warning(str(error))

    def start_clock(self, seconds: float) -> None:
        """Let the command have this much time from now on, unless that was said before; 0 or less: any."""
        if not self._is_timed:
            self._is_timed = seconds > 0
            self.cancellation = Cancellation(seconds)
            self._deadline.start(seconds)

    def defaults(self, command: str, params: Sequence[click.Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
        """What the user's file says of flags that are not ``given``. Under Skopeo's name there is no such file."""
        from transship.cli.configuration import GLOBAL_TABLE, excluded_by, read_configuration

        if given.get("no_config") or self.program == "skopeo":
            return {}
        configuration = read_configuration()
        if configuration is None:
            return {}
        configuration.require_commands(self.manager.names("commands"))
        general = configuration.defaults(GLOBAL_TABLE, global_options())
        own = configuration.defaults(command, [param for param in params if param.name not in GLOBAL_NAMES])
        silent = excluded_by(given)
        return {name: value for name, value in {**general, **own}.items() if name not in silent}

    def load_policy(self) -> Policy:
        """The trust policy that the flags ask for."""
        from transship.policy.document import ACCEPT_ALL
        from transship.policy.files import load_policy

        if self.globals.insecure_policy:
            return ACCEPT_ALL

        try:
            return load_policy(self.globals.policy, self.manager)
        except TransshipError as error:
            raise TransshipError(f"Error loading trust policy: {error}") from error

    def context(
        self,
        image: str,
        side: str,
        flags: Mapping[str, Any],
        prefix: str = "",
        *,
        settings: Mapping[str, str] | None = None,
        own: Mapping[str, str] | None = None,
    ) -> Context:
        """One side of the command, for ``image``, as its ``flags`` say; their names begin with ``prefix``.

        ``settings`` are further transport options. Those that come from Skopeo's flags and mean nothing to the
        transport are left out; what is in ``own``, or the image's ``--opt``, must be known there.
        """
        from transship.places import make_context

        known = self._known_options(image.partition(":")[0], side)
        meant = {**image_settings(flags, self.globals, prefix), **(settings or {})}
        context = make_context(
            self.manager,
            options={
                **{name: meant[name] for name in meant if name in known},
                **transport_settings(flags, prefix),
                **(own or {}),
            },
            temporary_directory=self.globals.tmpdir,
            cancellation=self.cancellation,
            credentials=credentials_of(flags, prefix),
            anonymous=flags.get(f"{prefix}no_creds", False),
            warn=self.log.warning,
            debug=self.log.debug,
        )
        if side == "source":
            self._sources[image] = context
        return context

    def _hint(self) -> str:
        """What the image may be called that is not there. A registry is asked only if somebody is there to read it."""
        from transship.cli.tag_names import near_images

        may_connect = sys.stderr.isatty() and not self.log.is_json
        try:
            images = [
                near
                for image, context in self._sources.items()
                for near in near_images(self.manager, image, context, may_connect=may_connect)
            ]
        except (KeyboardInterrupt, Terminated):  # the answer was not worth the wait
            return ""
        return f"; did you mean {' or '.join(images)}?" if images else ""

    def _known_options(self, transport: str, side: str) -> set[str]:
        try:
            options = self.manager.transport(transport).options
        except PluginError:  # whoever reads the whole reference next says what is wrong with it
            return set()
        return {option.name for option in options if option.side in (side, "both")}

    def _dispatch(self, args: list[str]) -> None:
        name, before, rest = _split(args)
        if name == "help":
            name, before, rest = _split([*before, *rest, "--help"])
        if name is None:
            self._without_command(before)
            return
        before = self._without_tls_verify(before)
        try:
            command = self.manager.command(name)
        except UnknownPluginError:
            self._refuse(name)
        if isinstance(command, GoCommand):
            rest = before + rest
        else:  # it does not know the global flags, so they may only stand before it
            self.take_globals(FlagParser(global_options()).parse_args(before)[0])
        try:
            context = command.make_context(f"{self.program} {name}", rest, obj=self)
        except BaseException:
            self._deadline.stop()
            raise
        with context:
            gc.freeze()  # what is there by now stays until the end
            gc.set_threshold(10_000)  # nor does what the command imports leave anything to collect
            gc.enable()
            try:
                command.invoke(context)
            except UsageError as error:
                if error.show_help and not self.log.is_json:
                    click.echo(command.get_help(context), err=True)
                raise
            finally:
                self._deadline.stop()
                if name in _CHANGING:
                    from transship.cli.tag_memory import forget_tags

                    forget_tags()

    def _without_tls_verify(self, args: list[str]) -> list[str]:
        """Take a flag out that may still stand before a command, and means something else behind it."""
        words = [word for word in args if word.partition("=")[0] == "--tls-verify"]
        values = FlagParser([Flag("--tls-verify")]).parse_args(words)[0]
        self._tls_verify = values.get("tls_verify")
        return [word for word in args if word not in words]

    def _without_command(self, args: list[str]) -> None:
        if any(word in ("--help", "-h") for word in args):
            click.echo(self._help())
        elif any(word in ("--version", "-v") for word in args):
            click.echo(version_of(self.program))
        else:
            FlagParser(global_options()).parse_args(args)
            raise UsageError(f"Missing command '{self.program} COMMAND'\n{self._way_out()}")

    def _way_out(self) -> str:
        return f"Try '{self.program} --help' for more information"

    def _refuse(self, name: str) -> NoReturn:
        known = [known for known in self.manager.names("commands") if known not in HIDDEN_COMMANDS]
        words = near(name, known)
        meant = "\n\nDid you mean this?\n\t" + "\n\t".join(words) + "\n" if words else ""
        raise UsageError(f"Unrecognized command `{self.program} {name}`{meant}\n{self._way_out()}")

    def _help(self) -> str:
        context = GoCommand.context_class(GoCommand(self.program, params=[]), info_name=self.program)
        formatter = context.make_formatter()
        formatter.write_text(_SUMMARY)
        formatter.write_paragraph()
        formatter.write_usage(self.program, "[command]")
        with formatter.section("Available Commands"):
            formatter.write_dl(list(self._summaries()))
        with formatter.section("Flags"):
            records = [option.get_help_record(context) for option in global_options()]
            formatter.write_dl([*(record for record in records if record is not None), *_ROOT_FLAGS])
        return formatter.getvalue().rstrip("\n")

    def _summaries(self) -> Iterator[tuple[str, str]]:
        for name in self.manager.names("commands"):
            if name in HIDDEN_COMMANDS:
                continue
            try:
                yield name, self.manager.command(name).get_short_help_str(80)
            except PluginError as error:
                yield name, f"(broken: {error})"


def _split(args: list[str]) -> tuple[str | None, list[str], list[str]]:
    """The command's name, what stands before it, and what after it; None where there are only flags."""
    options = global_options(hidden=True)
    takes_value = {name for option in options if not is_boolean(option) for name in option.opts}
    position = 0
    while position < len(args):
        word = args[position]
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            return word, args[:position], args[position + 1 :]
        position += 2 if word in takes_value else 1
    return None, args, []


def _wants_json(args: list[str]) -> bool:
    """What ``--log-format`` says, before anything can go wrong with the other flags."""
    return "--log-format=json" in args or ("--log-format", "json") in pairwise(args)


def _is_not_found(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, NotFoundError):
            return True
        error = error.__cause__
    return False


def _drop_unwritten_output() -> None:
    """What standard output cannot take must not fail once more when the interpreter flushes it at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Interruption:
    """Ends the command at SIGINT or SIGTERM, tidily if that is possible within seconds, and in any case."""

    _PATIENCE = 1.5
    _REMINDERS = 12
    _INTERVAL = 0.2

    def __init__(self) -> None:
        self._is_running = False

    def handle(self, number: int, frame: FrameType | None) -> NoReturn:
        """Raise in the main thread; called again if what is tidied up there waits for something that is stuck."""
        if not self._is_running:
            self._is_running = True
            threading.Thread(target=self._insist, args=(number,), daemon=True).start()
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    def _insist(self, number: int) -> None:
        main_thread = threading.main_thread().ident or 0
        time.sleep(self._PATIENCE)
        for _ in range(self._REMINDERS):
            signal.pthread_kill(main_thread, number)  # a real signal, as only that wakes a thread that waits
            time.sleep(self._INTERVAL)
        os._exit(EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED)
