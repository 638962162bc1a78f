from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transship_docker.plain_toml import read_plain

PIECES = ('"', '"a"', '"b" = "c"', '"b"="d"', " ", "\t", "=", "#", "# e", "[", "]", "[a]", "[b]", "[a.b]", "[[a]]")
PIECES += ("a", "0", "é", "\\", "\\n", "'", '""', '"""', "\r", "\x00", "\x7f", "\xa0", "\u2028", "\ufeff", ".", ",")


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("", {}),
        ("# nothing but\n\n  # comments", {}),
        ("[aliases]\n", {"aliases": {}}),
        (
            '# short names\n[aliases]\n  "app" = "a.example/app"\n\t"b-1"="c.example/b:#"\t\n\n[more]\n"app" = ""\n',
            {"aliases": {"app": "a.example/app", "b-1": "c.example/b:#"}, "more": {"app": ""}},
        ),
    ],
)
def test_plain_files_are_read(text, document):
    assert read_plain(text) == document == tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        'search = ["docker.io"]',
        '"a" = "b"',
        '[a]\n"b" = "c" # more',
        '[a]\n"b" = "\\u0063"',
        '[a]\n"b" = true',
        '[a]\n"b" = """c"""',
        "[a]\nb = 'c'",
        "[[a]]",
        "[a] # more",
        "[a]\r\n",
        "# é",
    ],
)
def test_what_is_not_plain_is_left_to_a_reader_of_all_toml(text):
    assert read_plain(text) is None
    tomllib.loads(text)


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=5).map("".join), max_size=5).map("\n".join))
def test_what_is_read_is_what_a_reader_of_all_toml_reads(text):
    document = read_plain(text)
    assert document is None or document == tomllib.loads(text)


def test_what_distributions_ship_needs_no_reader_of_all_toml(tmp_path):
    folder = tmp_path / "containers" / "registries.conf.d"
    folder.mkdir(parents=True)
    (folder.parent / "registries.conf").write_text('# [[registry]]\n# location = "a.example"\n')
    (folder / "shortnames.conf").write_text('[aliases]\n"app" = "a.example/b"\n')
    code = (
        "import sys; from transship_docker import configuration, registries; "
        "configuration.system_folder = lambda: sys.argv[1]; "
        "print(dict(registries.Registries.load().aliases), 'tomllib' in sys.modules)"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path)]
    shown = subprocess.run(arguments, capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)}).stdout
    assert shown.strip() == "{'app': 'a.example/b'} False"
