"""Fuzz the parsers, guided by the code that inputs reach (atheris), for a bounded time.

    tox -e fuzz                                 all parsers, a minute in total
    tox -e fuzz -- --seconds 1200 policy tar    some, for longer

What makes a parser fail is kept below ``findings``, and is tried again by every run of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).parent))

_PACKAGES = (
    "transship",
    "transship_dir",
    "transship_docker",
    "transship_docker_archive",
    "transship_oci",
    "transship_oci_archive",
    "transship_openpgp",
    "transship_sigstore",
)
"""Whose code guides the search."""

_HAS_ATHERIS = importlib.util.find_spec("atheris") is not None


@contextlib.contextmanager
def _guiding() -> Iterator[None]:
    """What is imported in this block guides the search."""
    if not _HAS_ATHERIS:
        yield
        return
    import atheris

    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=list(_PACKAGES)):
        yield


with _guiding():
    from harnesses.catalogue import TARGETS
    from harnesses.findings import FOLDER, findings
    from harnesses.target import Target

_INPUT_SECONDS = 10
_MEMORY_MIB = 512  # of which Python and the parsers take about 150 before any input
_TRIED = re.compile(r"stat::number_of_executed_units:\s*([0-9]+)")
_REACHED = re.compile(r"cov: ([0-9]+)")
_FAILURE = "=== the check failed ==="
_FAILURES = (_FAILURE, "ALARM: ", "ERROR: libFuzzer")
_SHOWN = 8000


class Result(NamedTuple):
    """What came of fuzzing one parser: inputs tried, edges of code reached, what was said if it failed."""

    target: str
    tried: int
    reached: int
    failure: str


def main() -> int:
    """Run the command line; the answer is the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="PARSER", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=60, help="for all together, default: %(default)s")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time, default: %(default)s"
    )
    parser.add_argument("--corpus", type=Path, help="where inputs that reach new code are kept from run to run")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such parser: {', '.join(sorted(unknown))}")
    chosen = [TARGETS[name] for name in options.targets or TARGETS]
    if not _HAS_ATHERIS:
        return _replay(chosen)
    seconds = max(1, options.seconds * options.jobs // len(chosen))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = folder
        corpus = options.corpus or Path(folder, "corpus")
        return _report(_fuzz(chosen, seconds, options.jobs, corpus, Path(folder)))


def _replay(targets: list[Target]) -> int:
    print("atheris is not installed: only what is known already is tried")
    for target in targets:
        for data in (*target.seeds, *findings(target.name)):
            target.check(data)
    return 0


def _report(results: Iterator[Result]) -> int:
    start = time.monotonic()
    done = []
    for result in results:
        done.append(result)
        print(
            f"{result.target:28}{result.tried:10} inputs{result.reached:6} edges{'  FAILED' if result.failure else ''}"
        )
    failed = [result for result in done if result.failure]
    for result in failed:
        print(f"\n--- {result.target}\n{result.failure}")
    print(f"{sum(result.tried for result in done)} inputs in {time.monotonic() - start:.0f} seconds")
    print(f"{len(failed)} of {len(done)} parsers failed")
    if failed:
        print(f"What they failed on is in {FOLDER}: keep it, every run of the tests tries it again.")
    return bool(failed)


def _fuzz(targets: list[Target], seconds: float, jobs: int, corpus: Path, logs: Path) -> Iterator[Result]:
    """Each parser in a process of its own, which libFuzzer ends as it sees fit."""
    waiting, running = list(reversed(targets)), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            target = waiting.pop()
            (FOLDER / target.name).mkdir(parents=True, exist_ok=True)
            process = os.fork()
            if process == 0:
                _end_with(lambda target=target: _fuzz_one(target, seconds, corpus / target.name, logs / target.name))
            running[process] = target.name
        process, status = os.wait()
        name = running.pop(process)
        yield _result(name, (logs / name).read_text("utf-8", "replace"), failed=status != 0)


def _end_with(work: Callable[[], None]) -> NoReturn:
    """Do ``work`` as the last thing of this process."""
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _fuzz_one(target: Target, seconds: float, corpus: Path, log: Path) -> None:
    import atheris

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    dictionary = log.with_name(f"{log.name}.words")
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate((*target.seeds, *findings(target.name))):
        (corpus / f"seed-{number}").write_bytes(data)
    arguments = [
        "fuzz",
        str(corpus),
        f"-dict={dictionary}",
        f"-max_len={max(target.longest, *map(len, target.seeds))}",
        f"-max_total_time={seconds:.0f}",
        f"-timeout={_INPUT_SECONDS}",
        f"-rss_limit_mb={_MEMORY_MIB}",
        f"-artifact_prefix={FOLDER / target.name}/",
        "-print_final_stats=1",
    ]
    repair = target.repair
    own = {"custom_mutator": lambda data, size, seed: repair(atheris.Mutate(data, size))} if repair else {}
    atheris.Setup(arguments, lambda data: _check(target, data), **own)
    atheris.Fuzz()


def _check(target: Target, data: bytes) -> None:
    try:
        target.check(data)
    except BaseException:
        print(_FAILURE)
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os.abort()  # on which libFuzzer writes down what the input was


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _result(name: str, log: str, *, failed: bool) -> Result:
    with contextlib.suppress(OSError):
        (FOLDER / name).rmdir()  # if nothing was found
        FOLDER.rmdir()
    tried, reached = _TRIED.search(log), _REACHED.findall(log)
    return Result(
        name,
        int(tried[1]) if tried else 0,
        int(reached[-1]) if reached else 0,
        _failure(log) if failed else "",
    )


def _failure(log: str) -> str:
    """What was said from the failure on, without the progress before."""
    marks = (position for mark in _FAILURES if (position := log.find(mark)) >= 0)
    return log[min(marks, default=-_SHOWN) :][:_SHOWN] or "it ended without a word"


if __name__ == "__main__":
    sys.exit(main())
