"""Pages say what is true: commands run and print what is shown, listings are what files hold, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from docs_pages import DOCS, PAGES, REGISTRIES, ROOT, Block, Place, blocks_of, name_of

# The fixtures that give the places in which the blocks below a marker run.
PLACES = {
    "runs": "place",
    "runs with the examples": "place_with_examples",
    "runs with a registry": "place_with_registries",
    "runs with client certificates": "place_with_client_certificates",
    "runs with a scheduler": "place_with_scheduler",
    "runs with a bucket": "place_with_bucket",
}
# What is not installed by default, but is there.
USED = {"runs with a scheduler": ["dask"], "runs with a bucket": ["fsspec"]}
IN_BACKGROUND = ", in the background"
LANGUAGES = {"sh", "python", "text", "json", "toml", "yaml"}

READERS = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def kinds_of(page: Path) -> set[str]:
    return {block.marker.removesuffix(IN_BACKGROUND) for block in blocks_of(page)} & {*PLACES}


def run(code: str, language: str, place: Place) -> str:
    interpreter = ["bash", "-euo", "pipefail"] if language == "sh" else [sys.executable, "-"]
    done = subprocess.run(
        interpreter,
        input=code,
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def running(code: str, place: Place) -> Iterator[None]:
    """Run what does not end by itself; it is ended with all that it has started."""
    with open(place.folder / "background.log", "ab") as log:
        command = ["bash", "-euo", "pipefail", "-c", f"{code}\nwait"]
        process = subprocess.Popen(
            command, cwd=place.folder, env=place.environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
        assert process.poll() is None, (place.folder / "background.log").read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def replaced(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text


def prepare(page: Path, place: Place) -> None:
    """Do what the reader has done before, unless the page says how: make a policy, and log in."""
    text = page.read_text(encoding="utf-8")
    if "transship policy init" not in text:
        run("transship policy init", "sh", place)
    if "REGISTRY_PASSWORD" in place.environment and "transship login" not in text:
        for host in map(place.hosts.__getitem__, REGISTRIES):
            log_in = f'printf %s "$REGISTRY_PASSWORD" | transship login --username ann --password-stdin {host}'
            run(log_in, "sh", place)


PAGES_THAT_RUN = [
    pytest.param(page, kind, id=name_of(page), marks=pytest.mark.uses(*USED.get(kind, [])))
    for page in PAGES
    for kind in sorted(kinds_of(page))
]


@pytest.mark.parametrize(("page", "kind"), PAGES_THAT_RUN)
def test_commands_of_a_page_run_and_print_what_it_says(page, kind, request):
    place = request.getfixturevalue(PLACES[kind])
    prepare(page, place)
    with ExitStack() as background:
        for block in blocks_of(page):
            code = replaced(block.code, place.hosts)
            if block.marker == kind + IN_BACKGROUND:
                background.enter_context(running(code, place))
            elif block.marker == kind:
                output = run(code, block.language, place)
                output = replaced(output, {real: name for name, real in place.hosts.items()})
                assert block.output in (None, output), block.code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_need_one_kind_of_place(page):
    assert len(kinds_of(page)) <= 1


def must_run(block: Block) -> bool:
    return block.language in ("sh", "python") and not block.marker.startswith("same as: ")


def is_run(block: Block) -> bool:
    return block.marker.removesuffix(IN_BACKGROUND) in {*PLACES, "main job", "test command"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_of_commands_is_run_or_says_why_not(page):
    assert {block.language for block in blocks_of(page)} <= LANGUAGES
    blocks = [block for block in blocks_of(page) if must_run(block) and not block.marker.startswith("not run: ")]
    if page == DOCS / "reference" / "plugins-and-hooks.md":  # whose examples of hooks are compared with the code
        blocks = [block for block in blocks if not block.code.startswith("@hookimpl\n")]
    assert [block for block in blocks if not is_run(block)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_documents_in_a_page_can_be_read(page):
    for block in blocks_of(page):
        if block.language in READERS:
            READERS[block.language](block.code)


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((DOCS / "tutorial").glob("*.md")), *sorted((DOCS / "how-to").glob("*.md"))],
    ids=name_of,
)
def test_all_commands_that_readers_are_to_type_are_run(page):
    assert [block for block in blocks_of(page) if must_run(block) and not is_run(block)] == []


def test_the_main_job_of_the_readme_runs_and_runs_again(place):
    (block,) = [block for block in blocks_of(ROOT / "README.md") if block.marker == "main job"]
    installed = re.sub(r"^(python3 -m venv|\.venv/bin/pip) .*&&$", "true &&", block.code, flags=re.MULTILINE)
    assert installed.count("true &&") == 2
    whole = os.environ.get("CI") == "true"  # installing takes long, and wants a network
    if whole:
        for name in ("core", "plugins", "README.md", "LICENSE", "pyproject.toml", "requirements.txt"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, place.folder / name)
        shutil.rmtree(place.folder / ".venv")
    for code in (block.code if whole else installed, installed):
        assert '"org.opencontainers.image.title": "hello"' in run(code, "sh", place)


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


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page):
    targets = [target for target in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists() and not is_gone(page, target)] == []


def is_gone(page: Path, target: str) -> bool:
    """Whether a link leads into the folder of a plugin that was deleted."""
    place = Path(os.path.normpath(page.parent / target)).relative_to(ROOT)
    return place.parts[0] == "plugins" and not (ROOT / Path(*place.parts[:3])).is_dir()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
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
