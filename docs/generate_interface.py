"""Writes ``docs/reference/public-interface.md``: the signature of every public name, from the code.

    python3 docs/generate_interface.py

What is public stands in the pages of ``docs/reference/python``. A test compares the page with the code, so that nothing
of this changes unnoticed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "core" / "src"
PAGE = DOCS / "reference" / "public-interface.md"

_PAGES = ("api", "plugin", "image", "testing")
_DESCRIBED = re.compile(r"^<!-- python: (?P<module>[\w.]+)(?:: (?P<names>[\w, ]+))? -->$", re.MULTILINE)
_DOORS = ("transship", "transship.plugin", "transship.testing")
_LONGEST = 110
_INTRODUCTION = """\
# The public interface

Every name that programs and plugins may rely on, with its signature; [Compatibility](../explanation/compatibility.md)
says what that means. What begins with an underscore, and every module that is not here, may change at any time.

This page is written by `docs/generate_interface.py` from the code. What the names mean is described in
[api](python/api.md), [plugin](python/plugin.md), [image](python/image.md) and [testing](python/testing.md).
"""


def page() -> str:
    """What the page should say."""
    sections = [f"## {module}\n\n```text\n{listing(module, names)}\n```\n" for module, names in public().items()]
    return "\n".join([_INTRODUCTION, *sections])


def public() -> dict[str, frozenset[str]]:
    """The modules that are described, and of each the names that are public, none: all without an underscore."""
    found: dict[str, frozenset[str]] = dict.fromkeys(_DOORS, frozenset())
    for name in _PAGES:
        text = (DOCS / "reference" / "python" / f"{name}.md").read_text(encoding="utf-8")
        for match in _DESCRIBED.finditer(text):
            found[match["module"]] = frozenset((match["names"] or "").replace(" ", "").split(",")) - {""}
    return found


def listing(module: str, names: frozenset[str]) -> str:
    """The signatures of a module's public names, in the order of the code."""
    tree = ast.parse(_file_of(module).read_text(encoding="utf-8"))
    return "\n".join(line for statement in tree.body for line in _lines(statement, names))


def _file_of(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _lines(statement: ast.stmt, names: frozenset[str]) -> Iterator[str]:
    name = _name_of(statement)
    if name == "__all__":
        assert isinstance(statement, ast.Assign)  # noqa: S101 - as it is in every module
        yield "from here: " + ", ".join(sorted(ast.literal_eval(statement.value)))
    elif name and not name.startswith("_") and (not names or name in names):
        yield from _signature(statement)


def _name_of(statement: ast.stmt) -> str:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _signature(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef():
            yield from (f"@{ast.unparse(decorator)}" for decorator in statement.decorator_list)
            statement.decorator_list, statement.body = [], [ast.Expr(ast.Constant(...))]
            yield from _folded(ast.unparse(statement).removesuffix(":\n    ..."))
        case ast.ClassDef():
            yield from (f"@{ast.unparse(decorator)}" for decorator in statement.decorator_list)
            bases = ", ".join(map(ast.unparse, statement.bases))
            yield f"class {statement.name}({bases})" if bases else f"class {statement.name}"
            for member in statement.body:
                if _is_public_member(_name_of(member)):
                    yield from (f"    {line}" for line in _signature(member))
        case _:
            text = ast.unparse(statement)
            yield text if len(text) <= _LONGEST else f"{text.partition(' = ')[0]} = …"


def _folded(text: str) -> Iterator[str]:
    """A signature in one line, or if that is long with a line for each parameter."""
    if len(text) <= _LONGEST:
        yield text
        return
    depth, begin = 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 1 and character in "(,":
            yield text[begin : position + 1].strip() if not begin else f"    {text[begin : position + 1].strip()}"
            begin = position + 1
        elif not depth and character == ")":
            yield f"    {text[begin:position].strip()},"
            begin = position
            break
    yield text[begin:]


def _is_public_member(name: str) -> bool:
    """Methods of contracts that test something are called by nobody; adding one is no change of the interface."""
    return name in ("__init__", "__call__") or (name != "" and not name.startswith(("_", "test_")))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
