"""The reference agrees with the program."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import pkgutil
import re
import textwrap
from pathlib import Path

import pytest

import transship.api
import transship.plugin
from transship.discovery import KINDS, PluginManager
from transship.plugin import hookspecs
from transship.policy.document import parse_policy
from transship.testing.registry import Fault, Registry

DOCS = Path(__file__).parents[2] / "docs"
HOOKS = [name for name in vars(hookspecs) if name.startswith("transship_")]


def load_script(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_script(DOCS / "generate_reference.py")


@pytest.mark.parametrize("name", [GENERATOR.GLOBAL_PAGE, *GENERATOR.command_names()])
def test_a_page_has_the_flags_of_its_command(name):
    assert GENERATOR.page_of(name).read_text(encoding="utf-8") == GENERATOR.updated(name)


def test_every_page_belongs_to_a_command():
    pages = {page.stem for page in GENERATOR.COMMANDS.glob("*.md")}
    assert pages == {GENERATOR.GLOBAL_PAGE, *GENERATOR.command_names()}


def modules_of(package) -> set[str]:
    return {f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)}


def described() -> dict[str, list[str]]:
    """The modules that the pages about Python describe, and what of each; nothing named is everything."""
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference" / "python").glob("*.md"))
    found = re.findall(r"^<!-- python: ([\w.]+)(?:: ([\w, ]+))? -->\n\[", pages, re.MULTILINE)
    return {name: [member for member in members.split(", ") if member] for name, members in found}


def test_all_that_plugins_may_import_is_described():
    assert sorted({*modules_of(transship.plugin), "transship.errors"} - {*described()}) == []


def test_all_that_the_interface_for_programs_offers_is_described():
    missing = []
    for name in transship.api.__all__:
        members = described().get(getattr(transship.api, name).__module__)
        if members is None or (members and name not in members):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_has_its_example(name):
    page = (DOCS / "reference" / "plugins-and-hooks.md").read_text(encoding="utf-8")
    example = inspect.cleandoc(getattr(hookspecs, name).__doc__).partition("@hookimpl")
    code = textwrap.dedent("    " + "".join(example[1:]))
    assert f"## {name}(" in page
    assert f"```python\n{code}\n```" in page


def test_the_groups_of_entry_points_are_listed():
    page = (DOCS / "reference" / "plugins-and-hooks.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`transship.{kind}`" not in page] == []


def own_transports() -> list[str]:
    """Those of this repository."""
    return [
        entry.name
        for entry in PluginManager().entries()
        if entry.kind == "transports" and entry.module.startswith(f"transship_{entry.name.replace('-', '_')}.")
    ]


@pytest.mark.parametrize("name", own_transports())
def test_every_transport_of_this_repository_has_a_section(name):
    page = (DOCS / "reference" / "transports.md").read_text(encoding="utf-8")
    assert f"\n## {name}:" in page


@pytest.mark.parametrize("name", own_transports())
def test_every_option_of_a_transport_is_named(name):
    page = (DOCS / "reference" / "transports.md").read_text(encoding="utf-8")
    text = page.partition(f"\n## {name}:")[2].partition("\n## ")[0]
    own_page = DOCS / "reference" / f"{name}.md"
    if f"]({own_page.name})" in text:
        text += own_page.read_text(encoding="utf-8")
    options = [option.name for option in PluginManager().transport(name).options]
    assert [option for option in options if f"`{option}`" not in text] == []


def test_everything_that_the_testing_registry_can_do_is_named():
    page = (DOCS / "how-to" / "test-against-a-registry.md").read_text(encoding="utf-8")
    names = [*inspect.signature(Registry).parameters, *(field.name for field in dataclasses.fields(Fault))]
    assert [name for name in names if f"`{name}`" not in page] == []


def source_files() -> list[Path]:
    """The code that is shipped, without what is for tests."""
    folders = [DOCS.parent / "core" / "src", *(DOCS.parent / "plugins").glob("*/*/src")]
    return [path for folder in folders for path in folder.rglob("*.py") if "testing" not in path.parts]


def variables_of(code: str) -> set[str]:
    """The environment variables that it names."""
    used = (
        r"""environ(?:ment)?(?:\.\w+\(|\[)["'](\w+)["']|getenv\(["'](\w+)["']|["'](\w+)["'] (?:not )?in os\.environ"""
    )
    return {name for names in re.findall(used, code) for name in names if name}


def test_every_environment_variable_is_named():
    page = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    used = {name for path in source_files() for name in variables_of(path.read_text(encoding="utf-8"))}
    assert {"REGISTRY_AUTH_FILE", "SSL_CERT_FILE", "GPG_TTY"} <= used
    inherited = {
        "GNUPGHOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    }  # read by gpg, and by names that are put together
    named = set(re.findall(r"`(\w+)(?:=\w+)?`", page))
    assert sorted((used | inherited) - named) == []


@pytest.mark.parametrize(
    "code", ['environ.get("A_NAME", "")', "os.environ['A_NAME']", 'if "A_NAME" in os.environ', 'os.getenv("A_NAME")']
)
def test_environment_variables_are_noticed(code):
    assert variables_of(code) == {"A_NAME"}


def test_every_exit_code_is_named():
    page = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for path in source_files())
    lines = re.findall(r"^(EXIT_[\w, ]+) = ([\d, ]+)$", code, re.MULTILINE)
    codes = {number for _, numbers in lines for number in numbers.split(", ")}
    assert {"1", "2", "130", "143"} <= codes
    assert [number for number in sorted(codes | {"0"}) if f"\n| {number} |" not in page] == []


def test_the_example_policy_is_that_of_policy_init():
    from transship.cli.policy import _FIRST_POLICY

    example = (DOCS / "examples" / "policy.json").read_bytes()
    parse_policy(example, "policy.json")
    assert json.loads(example) == json.loads(_FIRST_POLICY)


def test_the_policy_of_the_trust_page_is_valid():
    page = (DOCS / "explanation" / "trust.md").read_text(encoding="utf-8")
    parse_policy(page.partition("```json\n")[2].partition("```")[0].encode(), "trust.md")
