"""Writes manual pages from the commands' own help and their pages in ``docs/reference/commands``.

    python3 docs/generate_manual.py

Each lies in the ``man`` folder of the distribution that brings the command, whose wheel installs it.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from transship import __version__
from transship.cli.options import HIDDEN_COMMANDS, global_options
from transship.discovery import PluginManager

ROOT = Path(__file__).parents[1]
COMMANDS = ROOT / "docs" / "reference" / "commands"
MAIN = ROOT / "core" / "man" / "transship.1"
SUMMARY = "move container images between registries, archives and folders"

_DATE = "2026-11-25"
_BLOCK = re.compile(r"<!-- (usage|flags):.*?<!-- end of \1 -->\n", re.DOTALL)
_GLOBAL = re.compile(r"\A\s*(?:and|Only) the \[global flags\]\([^)]*\)\.\s*")
_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\[(?P<link>[^\]]+)\]\([^)]*\)")


def manual() -> dict[Path, str]:
    """Every page by its path."""
    manager = PluginManager()
    pages = {}
    for pyproject in [ROOT / "core" / "pyproject.toml", *sorted(ROOT.glob("plugins/*/*/pyproject.toml"))]:
        groups = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"].get("entry-points", {})
        for name in groups.get("transship.commands", {}):
            if name not in HIDDEN_COMMANDS:
                pages[pyproject.parent / "man" / f"transship-{name}.1"] = _command_page(manager.command(name))
    pages[MAIN] = _main_page(manager, sorted(path.stem.removeprefix("transship-") for path in pages))
    return pages


def _main_page(manager: PluginManager, names: Iterable[str]) -> str:
    prose = _prose((COMMANDS / "global-flags.md").read_text(encoding="utf-8"))[1]
    lines = [
        *_head("transship", SUMMARY),
        ".SH SYNOPSIS",
        r".B transship",
        r"[\fIglobal flags\fR] \fIcommand\fR [\fIflags\fR] \fIarguments\fR",
        ".SH COMMANDS",
    ]
    for name in names:
        lines += [".TP", rf"\fB{_text(name, is_code=True)}\fR", _line(manager.command(name).get_short_help_str(200))]
    lines += [".PP", "Each has a page of its own, such as", r".BR transship\-copy (1).", ".SH GLOBAL FLAGS"]
    return "\n".join([*lines, *_flags(global_options()), *prose]) + "\n"


def _command_page(command: click.Command) -> str:
    title = f"transship-{command.name}"
    first, _, rest = inspect.cleandoc(command.help or "").partition("\n")
    intro, details = _prose((COMMANDS / f"{command.name}.md").read_text(encoding="utf-8"))
    options = [param for param in command.params if isinstance(param, click.Option)]
    arguments = " ".join(str(param.metavar or "") for param in command.params if isinstance(param, click.Argument))
    lines = [
        *_head(title, first[:1].lower() + first[1:]),
        ".SH SYNOPSIS",
        rf".B transship {_text(str(command.name), is_code=True)}",
        f"[flags] {_text(arguments)}".rstrip(),
        ".SH DESCRIPTION",
        *_blocks(f"{rest.strip()}\n"),
        *([".PP"] if rest.strip() and intro else []),
        *intro,
        ".SH FLAGS",
        *(list(_flags(options)) or ["It has no flags of its own."]),
        ".PP",
        "The global flags are in",
        ".BR transship (1).",
        *details,
        ".SH SEE ALSO",
        ".BR transship (1)",
    ]
    return "\n".join(lines) + "\n"


def _head(title: str, summary: str) -> list[str]:
    return [
        r".\" Written by docs/generate_manual.py",
        f'.TH {title.upper()} 1 {_DATE} "transship {__version__}" "transship"',
        ".SH NAME",
        rf"{_text(title, is_code=True)} \- {_text(summary)}",
    ]


def _flags(options: Iterable[click.Option]) -> Iterator[str]:
    for option in options:
        if not option.hidden:
            metavar = option.metavar if option.metavar is not None else option.type.name.upper()
            names = ", ".join(rf"\fB{_text(name, is_code=True)}\fR" for name in sorted(option.opts, key=len))
            yield from (".TP", f"{names} {_text(metavar)}".rstrip(), _line(option.help or ""))


def _prose(page: str) -> tuple[list[str], list[str]]:
    """What a page says before its flags, and after them, as roff."""
    page = _BLOCK.sub("", page.partition("\n")[2])
    if "## Flags\n" in page:
        before, _, after = page.partition("## Flags\n")
    else:
        before, after = "", page
    after = _GLOBAL.sub("", after).strip()
    is_plain = bool(after) and not after.startswith("## ")
    return list(_blocks(before)), [*([".SH DETAILS"] if is_plain else []), *_blocks(after)]


def _blocks(markdown: str) -> list[str]:
    """Paragraphs, lists, tables and code as roff."""
    lines: list[str] = []
    text = re.sub(r"<!--.*?-->\n?", "", markdown, flags=re.DOTALL)
    for block in re.findall(r"^```.*?^```$|(?:^(?!```)[^\n]+\n?)+", text, re.MULTILINE | re.DOTALL):
        stands_first = not lines or lines[-1].startswith(".SH")
        lines += _block(block, stands_first=stands_first)
    return lines


def _block(block: str, *, stands_first: bool) -> Iterator[str]:
    first = block.splitlines()[0]
    if first.startswith("```"):
        yield from [] if stands_first else [".PP"]
        yield from (".nf", *(_line(line, is_code=True) or r"\&" for line in block.splitlines()[1:-1]), ".fi")
    elif first.startswith("#"):
        yield f".SH {_text(first.lstrip('# ').upper())}"
        rest = block.partition("\n")[2]
        yield from _block(rest, stands_first=True) if rest.strip() else ()
    elif first.startswith("|"):
        for row in block.splitlines()[2:]:
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            yield from (".TP", _line(cells[0]), _line("; ".join(cells[1:])))
    elif first.startswith("- "):
        for item in re.split(r"^- ", block, flags=re.MULTILINE)[1:]:
            yield from (r".IP \(bu 2", _line(" ".join(item.split())))
    else:
        yield from [] if stands_first else [".PP"]
        yield from (_line(" ".join(block.split())),)


def _line(text: str, *, is_code: bool = False) -> str:
    roff = _text(text, is_code=is_code) if is_code else _styled(text)
    return rf"\&{roff}" if roff.startswith((".", "'")) else roff


def _styled(text: str) -> str:
    pieces, position = [], 0
    for found in _INLINE.finditer(text):
        pieces.append(_text(text[position : found.start()]))
        if found["link"]:
            pieces.append(_styled(found["link"]))
        else:
            pieces.append(rf"\fB{_text(found['code'] or found['bold'], is_code=bool(found['code']))}\fR")
        position = found.end()
    return "".join([*pieces, _text(text[position:])])


def _text(text: str, *, is_code: bool = False) -> str:
    text = text.replace("&lt;", "<").replace("\\", r"\e")
    if is_code:
        text = text.replace("-", r"\-")
    else:
        text = re.sub(r"(?<![\w])--?(?=\w)", lambda found: found[0].replace("-", r"\-"), text)
    return "".join(char if ord(char) < 127 else rf"\[u{ord(char):04X}]" for char in text)


if __name__ == "__main__":
    for path, page in manual().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="ascii")
