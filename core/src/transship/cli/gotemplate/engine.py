"""Parsing and executing templates.

output = render("transship inspect", "{{.Name}}", GoStruct("main.T", {"Name": "x"}))
"""

from __future__ import annotations

from transship.cli.gotemplate.errors import Budget
from transship.cli.gotemplate.evaluator import execute
from transship.cli.gotemplate.functions import FUNCTIONS
from transship.cli.gotemplate.parser import ParsedTemplate
from transship.cli.gotemplate.parser import parse as _parse
from transship.cli.gotemplate.values import Value


def parse(name: str, text: str) -> ParsedTemplate:
    """Parse ``text``; ``name`` appears in messages. Raises ``TemplateError``."""
    return _parse(name, text, FUNCTIONS)


def render(name: str, text: str, data: Value) -> str:
    """Parse and execute at once. Raises ``TemplateError``."""
    return execute(parse(name, text), data, Budget())
