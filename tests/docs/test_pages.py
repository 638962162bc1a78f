"""Pages say what is true: commands run and print what is shown, listings are what files hold, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*TOP_PAGES, *sorted(DOCS.rglob("*.md"))]

_BLOCK = re.compile(
    r"^<!-- (?P<marker>[^>]*?) -->\n```(?P<language>sh|python|toml)\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n(?P<output>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    marker: str
    language: str
    code: str
    output: str | None


def blocks_of(page: Path) -> list[Block]:
    return [Block(**found.groupdict()) for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def pages_with(marker: str) -> list:
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page in PAGES
        if any(block.marker == marker for block in blocks_of(page))
    ]


def run(code: str, language: str, workplace: Path, environment: dict[str, str]) -> str:
    interpreter = ["bash", "-euo", "pipefail"] if language == "sh" else [sys.executable, "-"]
    done = subprocess.run(
        interpreter,
        input=code,
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_blocks(
    page: Path, marker: str, workplace: Path, environment: dict[str, str], hosts: Mapping[str, str] | None = None
) -> None:
    """``hosts`` says what the hosts that the page names are called here."""
    for block in blocks_of(page):
        if block.marker == marker:
            output = run(replaced(block.code, hosts or {}), block.language, workplace, environment)
            output = replaced(output, {real: name for name, real in (hosts or {}).items()})
            assert block.output in (None, output), block.code


def replaced(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text


@pytest.mark.parametrize("page", pages_with("runs"))
def test_commands_of_a_page_run_and_print_what_it_says(page, workplace, environment):
    if page.name != "first-copy.md":  # which makes the policy itself
        run("transship policy init", "sh", workplace, environment)
    run_blocks(page, "runs", workplace, environment)


@pytest.mark.parametrize("page", pages_with("runs with a registry"))
def test_commands_of_a_page_run_with_a_registry(page, workplace, registry_environment, registries):
    hosts = {name: registry.host for name, registry in registries.items()}
    run("transship policy init", "sh", workplace, registry_environment)
    if "transship login" not in page.read_text(encoding="utf-8"):  # its reader is logged in already
        for host in hosts.values():
            log_in = f'printf %s "$REGISTRY_PASSWORD" | transship login --username ann --password-stdin {host}'
            run(log_in, "sh", workplace, registry_environment)
    run_blocks(page, "runs with a registry", workplace, registry_environment, hosts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_need_one_kind_of_place(page):
    assert len({block.marker for block in blocks_of(page) if block.marker.startswith("runs")}) <= 1


@pytest.mark.parametrize("page", pages_with("runs with the examples"))
def test_commands_of_a_page_run_with_the_examples_installed(page, workplace, installed_examples):
    run_blocks(page, "runs with the examples", workplace, installed_examples)


def test_the_main_job_of_the_readme_runs_and_runs_again(workplace, environment):
    (block,) = [block for block in blocks_of(ROOT / "README.md") if block.marker == "main job"]
    # the environment is there already: installing into a new one is tried by hand before a release
    code = re.sub(r"^(python3 -m venv|\.venv/bin/pip) .*&&$", "true &&", block.code, flags=re.MULTILINE)
    assert code.count("true &&") == 2
    for _ in range(2):
        assert '"org.opencontainers.image.title": "hello"' in run(code, "sh", workplace, environment)


def test_the_readme_holds_one_test_command_that_ends_with_the_tests():
    (block,) = [block for block in blocks_of(ROOT / "README.md") if block.marker == "test command"]
    assert block.language == "sh"
    assert block.code.endswith("-e lint,types,imports,docs,py,fuzz\n")


def listings() -> list:
    return [
        pytest.param(page, block, id=f"{page.name}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks_of(page))
        if block.marker.startswith("same as: ")
    ]


@pytest.mark.parametrize(("page", "block"), listings())
def test_a_listing_is_what_its_file_holds(page, block):
    assert block.code in (DOCS / block.marker.removeprefix("same as: ")).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    targets = [target for target in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_pages_lead_to_headings(page):
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    wanted = [((page.parent / path) if path else page, anchor) for path, anchor in links if "://" not in path]
    assert [(target.name, anchor) for target, anchor in wanted if anchor not in anchors_of(target)] == []


def anchors_of(page: Path) -> list[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    folders = ("tutorial", "how-to", "reference", "explanation")
    pages = [str(page.relative_to(DOCS)) for folder in folders for page in sorted((DOCS / folder).rglob("*.md"))]
    assert [page for page in pages if f"]({page})" not in index] == []
