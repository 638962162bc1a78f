"""Virtual environments that nothing of this checkout reaches but what is installed there, from wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR")


class Environment:
    """A new virtual environment in ``folder``, without network: what is no wheel comes from this interpreter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = folder / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (self.site,) = (folder / "venv" / "lib").glob("python*/site-packages")

    def install(self, *projects: Path) -> None:
        """Build wheels of ``projects`` outside of their folders, and install them, without what they need."""
        wheels = self._folder / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        copies = [self._copy(project, number) for number, project in enumerate(projects)]
        _pip("wheel", "-q", "--no-build-isolation", "--no-index", "--no-deps", "--wheel-dir", wheels, *copies)
        _pip("--python", self._python, "install", "-q", "--no-index", "--no-deps", *wheels.iterdir())

    def link(self, *names: str) -> None:
        """Let distributions of this interpreter be found, and what they need. Those of this checkout are installed."""
        for name in sorted({name.partition("[")[0] for name in names}.union(*map(_dependencies_of, names))):
            if name.startswith("transship"):
                continue
            distribution = metadata.distribution(name)
            for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
                if not (self.site / top).exists():
                    (self.site / top).symlink_to(Path(str(distribution.locate_file(top))))
            for file in distribution.files or ():
                program = Path(str(distribution.locate_file(file)))
                if program.parent.name == "bin" and not program.read_bytes().startswith(b"#!"):
                    (self._python.parent / program.name).symlink_to(program)  # a script would run elsewhere

    def link_needs(self, name: str) -> None:
        """Let what a distribution of this interpreter needs be found, and not the distribution."""
        self.link(*_dependencies_of(name))

    @contextmanager
    def without(self, *plugins: str) -> Iterator[None]:
        """Take installed plugins away for a while. What they need stays."""
        away = self._folder / "away"
        away.mkdir()
        moved = []
        for plugin in plugins:
            package = f"transship_{plugin.replace('-', '_')}"
            programs = self._python.parent.glob(plugin)  # a plugin that is a program is named after it
            for path in (*self.site.glob(package), *self.site.glob(f"{package}-*.dist-info"), *programs):
                moved.append((shutil.move(path, away), path))
        try:
            yield
        finally:
            for path, place in moved:
                shutil.move(path, place)
            away.rmdir()

    def run(self, module: str, *arguments: str | Path, **settings) -> subprocess.CompletedProcess[str]:
        """Run a module such as ``transship`` with arguments. See ``run_python``."""
        return self.run_python("-m", module, *arguments, **settings)

    def run_python(
        self, *arguments: str | Path, cwd: Path, check: bool = True, **settings
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with few variables, and ``variables`` beside them; with ``check`` it has to end well."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        kept |= {"HOME": str(self._folder), "PYTHONDONTWRITEBYTECODE": "1", **settings.pop("variables", {})}
        program = [self._python, *arguments]
        done = subprocess.run(program, cwd=cwd, env=kept, capture_output=True, text=True, check=False, **settings)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def _copy(self, project: Path, number: int) -> Path:
        copy = self._folder / "sources" / str(number) / project.name
        shutil.rmtree(copy, ignore_errors=True)
        return shutil.copytree(project, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "dist"))


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _dependencies_of(name: str) -> set[str]:
    """The names of all distributions that one, or one with an extra, needs here, directly or not."""
    found: set[str] = set()
    name, _, extra = name.rstrip("]").partition("[")
    for requirement in metadata.requires(name) or ():
        text, _, marker = requirement.partition(";")
        needed = re.split(r"[^A-Za-z0-9._-]", text.strip())[0]
        asked = not (of := re.search(r"extra == ['\"](.+)['\"]", marker)) or of[1] == extra
        if asked and needed not in found and _is_installed(needed):
            found |= {needed} | _dependencies_of(needed)
    return found


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:  # for another platform or version of Python
        return False
    return True
