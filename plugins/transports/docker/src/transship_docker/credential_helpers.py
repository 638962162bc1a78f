"""Programs called ``docker-credential-NAME`` that keep credentials."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transship.errors import TransportError, TransshipError
from transship.image.strict_json import load_json_object
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials

if TYPE_CHECKING:
    import subprocess

OUTPUT_LIMIT = 1 << 20
TIMEOUT = 60.0

_PREFIX = "docker-credential-"
_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"  # noqa: S105 - a marker in the place of a user name
_INPUT_LIMIT = 32 << 10
_INTERVAL = 0.1
_SHOWN = 200


class MissingHelperError(TransportError):
    """The program of a credential helper is not on PATH."""


class CredentialHelper:
    """One helper program, asked by the names of servers. All methods raise ``TransportError``."""

    def __init__(
        self, name: str, warn: Callable[[str], None] = lambda message: None, cancellation: Cancellation | None = None
    ) -> None:
        if not name or name.startswith(".") or any(mark in name for mark in "/\\\0"):
            raise TransportError(f'invalid name of a credential helper: "{name}"')
        self.name = name
        self._warn = warn
        self._cancellation = cancellation or Cancellation()

    def get(self, server: str) -> Credentials | None:
        """What the helper knows for ``server``; None, with a warning, also where its program is missing."""
        try:
            output = self._run("get", server.encode())
        except MissingHelperError as error:
            self._warn(str(error))
            return None
        if output is None:
            return None
        answer = self._parse(output)
        username, secret = self._text(answer, "Username"), self._text(answer, "Secret")
        if username == _TOKEN_USER:
            return Credentials(identity_token=secret) if secret else None
        return Credentials(username, secret) if username or secret else None

    def store(self, server: str, username: str, password: str) -> None:
        """Let the helper keep credentials."""
        import json

        self._run("store", json.dumps({"ServerURL": server, "Username": username, "Secret": password}).encode())

    def erase(self, server: str) -> bool:
        """Let the helper forget credentials; whether it had some."""
        return self._run("erase", server.encode()) is not None

    def servers(self) -> list[str]:
        """The servers that it knows credentials of."""
        output = self._run("list", b"")
        return list(self._parse(output)) if output else []

    def _parse(self, output: bytes) -> dict[str, Any]:
        try:
            return load_json_object(output, "")
        except TransshipError:  # without what was found: it may be a secret
            raise TransportError(f"{_PREFIX}{self.name} answered with something else than a JSON object") from None

    def _text(self, answer: dict[str, Any], member: str) -> str:
        value = answer.get(member, "")
        if not isinstance(value, str):
            raise TransportError(f'{_PREFIX}{self.name}: "{member}" is no string')
        return value

    def _run(self, action: str, data: bytes) -> bytes | None:
        """What the program wrote; None if it says that there are no such credentials."""
        if len(data) > _INPUT_LIMIT:
            raise TransportError(f"{_PREFIX}{self.name} {action}: more than {_INPUT_LIMIT} bytes to tell it")
        status, output, errors = self._talk(action, data)
        if status == 0:
            return output
        if _NOT_FOUND in output.decode("utf-8", "replace"):
            return None
        why = _first_line(output) or _first_line(errors)
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise TransportError(f"{_PREFIX}{self.name} {action}: {how}{': ' if why else ''}{why}")

    def _talk(self, action: str, data: bytes) -> tuple[int, bytes, bytes]:
        import contextlib
        import subprocess

        program = self._program()
        try:
            # a group of its own, so that what it starts ends with it
            process = subprocess.Popen(
                [program, action],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            raise TransportError(f"running {program}: {(error.strerror or str(error)).lower()}") from error
        with process:
            try:
                assert process.stdin  # noqa: S101 - a pipe, for mypy
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(data)
                output, errors = self._read(process, action)
                return self._wait(process, action), output, errors
            finally:
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)

    def _program(self) -> str:
        import shutil

        program = shutil.which(_PREFIX + self.name)
        if program is None or not os.path.isabs(program):  # never one that lies in the current folder by chance
            raise MissingHelperError(f"credential helper program {_PREFIX}{self.name} is not on PATH")
        return program

    def _read(self, process: subprocess.Popen[bytes], action: str) -> tuple[bytes, bytes]:
        """Standard output and standard error, until both end or the program does."""
        import selectors

        deadline = time.monotonic() + TIMEOUT
        streams = {stream.fileno(): bytearray() for stream in (process.stdout, process.stderr) if stream}
        with selectors.DefaultSelector() as selector:
            for number in streams:
                selector.register(number, selectors.EVENT_READ)
            while selector.get_map():
                ended = process.poll() is not None
                ready = selector.select(0 if ended else _INTERVAL)
                if ended and not ready:  # what it left running may keep the pipes open
                    break
                for key, _ in ready:
                    chunk = os.read(key.fd, 1 << 16)
                    streams[key.fd] += chunk
                    if not chunk:
                        selector.unregister(key.fd)
                self._require_bounds(action, deadline, max(map(len, streams.values())))
        output, errors = streams.values()
        return bytes(output), bytes(errors)

    def _wait(self, process: subprocess.Popen[bytes], action: str) -> int:
        deadline = time.monotonic() + TIMEOUT
        while (status := process.poll()) is None:
            self._require_bounds(action, deadline, 0)
            time.sleep(0.002)
        return status

    def _require_bounds(self, action: str, deadline: float, size: int) -> None:
        self._cancellation.check()
        if time.monotonic() > deadline:
            raise TransportError(f"{_PREFIX}{self.name} {action}: no answer within {TIMEOUT:.0f} seconds")
        if size > OUTPUT_LIMIT:
            raise TransportError(f"{_PREFIX}{self.name} {action}: more than {OUTPUT_LIMIT} bytes of output")


def _first_line(output: bytes) -> str:
    """What an error says, as long as it does not look like an answer, which would hold a secret."""
    text = output.decode("utf-8", "replace").strip()
    return "" if text.startswith("{") or not text else text.splitlines()[0][:_SHOWN]
