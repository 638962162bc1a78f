"""Go's text/template language for values that carry Go types.

    output = render("transship inspect", "{{.Name}}", GoStruct("main.T", {"Name": "x"}))

A template reaches only what the value lists: there is no way from it to Python's attributes. Size, nesting, work
and output are bounded, so any text can be rendered.
"""

from __future__ import annotations

from transship.cli.gotemplate.columns import align
from transship.cli.gotemplate.encoding import encode
from transship.cli.gotemplate.errors import Budget, TemplateError
from transship.cli.gotemplate.evaluator import execute
from transship.cli.gotemplate.functions import FUNCTIONS
from transship.cli.gotemplate.gotime import GoTime
from transship.cli.gotemplate.parser import ParsedTemplate
from transship.cli.gotemplate.parser import parse as _parse
from transship.cli.gotemplate.values import (
    Boxed,
    GoInt,
    GoList,
    GoMap,
    GoPointer,
    GoStruct,
    GoTyped,
    Value,
    clean_text,
)

__all__ = [
    "Boxed",
    "Budget",
    "GoInt",
    "GoList",
    "GoMap",
    "GoPointer",
    "GoStruct",
    "GoTime",
    "GoTyped",
    "ParsedTemplate",
    "TemplateError",
    "Value",
    "align",
    "clean_text",
    "encode",
    "execute",
    "parse",
    "render",
]


def parse(name: str, text: str) -> ParsedTemplate:
    """Parse ``text``; ``name`` appears in messages. Raises ``TemplateError``."""
    return _parse(name, text, FUNCTIONS)


def render(name: str, text: str, data: Value) -> str:
    """Parse and execute at once. Raises ``TemplateError``."""
    return execute(parse(name, text), data, Budget())
