from __future__ import annotations

import pytest

from transship.errors import TransportError
from transship.image.reference import DockerReference
from transship_docker import configuration
from transship_docker.registries import Registries

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def etc(tmp_path, monkeypatch):
    """The machine's configuration folder; HOME is beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(configuration, "system_folder", lambda: str(tmp_path / "etc"))
    folder = tmp_path / "etc" / "containers"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def own(etc, tmp_path):
    folder = tmp_path / "home" / ".config" / "containers"
    folder.mkdir(parents=True)
    return folder


def load(etc, text):
    (etc / "registries.conf").write_text(text)
    return Registries.load()


def reference(text):
    return DockerReference.parse(text).with_default_tag()


def places(registries, text):
    return [(str(e.reference), e.insecure, e.is_mirror) for e in registries.endpoints(reference(text))]


def test_without_configuration_a_reference_is_read_where_it_says(etc):
    registries = Registries.load()
    assert places(registries, "busybox") == [("docker.io/library/busybox:latest", False, False)]
    assert registries.credential_helpers == ("containers-auth.json",)
    assert not registries.insecure(reference("busybox"))


def test_a_file_that_was_named_must_exist(etc, tmp_path):
    with pytest.raises(TransportError, match="loading registries configuration"):
        Registries.load(str(tmp_path / "missing.conf"))


@pytest.mark.parametrize(
    ("prefix", "text", "expected"),
    [
        ("example.com", "example.com/a/b:1", "new.example/a/b:1"),
        ("example.com", "example.com:5000/a", "new.example:5000/a:latest"),
        ("example.com", "example.company/a", "example.company/a:latest"),
        ("example.com/ns", "example.com/ns/a", "new.example/a:latest"),
        ("example.com/ns", "example.com/nsx/a", "example.com/nsx/a:latest"),
        ("example.com/ns/a:1", "example.com/ns/a:1", None),
        ("example.com/ns/a", f"example.com/ns/a@{DIGEST}", None),
        ("*.example.com", "x.y.example.com/a", "new.example/a:latest"),
        ("*.example.com", "x.example.com:5000/a", "new.example:5000/a:latest"),
        ("*.example.com", "example.com/a", "example.com/a:latest"),
        ("*.example.com", "other.org/x.example.com/a", "other.org/x.example.com/a:latest"),
        ("*.example.com", "a.example.com.b.example.com/a", "new.example/a:latest"),
    ],
)
def test_the_matched_prefix_becomes_the_location(etc, prefix, text, expected):
    registries = load(etc, f'[[registry]]\nprefix = "{prefix}"\nlocation = "new.example"\n')
    if expected is None:  # matched to the end: nothing is left that could be a repository
        with pytest.raises(TransportError, match="rewriting reference"):
            places(registries, text)
    else:
        assert places(registries, text) == [(expected, False, False)]


def test_the_longest_prefix_wins_and_nothing_is_inherited(etc):
    registries = load(
        etc,
        '[[registry]]\nlocation = "example.com"\ninsecure = true\n'
        '[[registry]]\nlocation = "example.com/ns"\n'
        '[[registry]]\nprefix = "*.com"\nblocked = true\n',
    )
    assert registries.insecure(reference("example.com/other"))
    assert not registries.insecure(reference("example.com/ns/a"))
    with pytest.raises(TransportError, match=r"registry \*\.com is blocked in one of"):
        registries.require_allowed(reference("another.com/a"))


def test_insecure_is_known_for_a_host_alone(etc):
    registries = load(etc, '[[registry]]\nlocation = "localhost:5000"\ninsecure = true\n')
    assert registries.insecure("localhost:5000")
    assert not registries.insecure("localhost:50001")


def test_an_empty_location_of_a_wildcard_rewrites_nothing(etc):
    registries = load(etc, '[[registry]]\nprefix = "*.example.com"\ninsecure = true\n')
    assert places(registries, "x.example.com/a") == [("x.example.com/a:latest", True, False)]


def test_a_blocked_registry_is_refused_for_reading_and_writing(etc):
    registries = load(etc, '[[registry]]\nlocation = "bad.example"\nblocked = true\n')
    with pytest.raises(TransportError, match=r"registry bad\.example is blocked"):
        registries.endpoints(reference("bad.example/a"))
    with pytest.raises(TransportError, match="is blocked"):
        registries.require_allowed("bad.example")


MIRRORS = """
[[registry]]
location = "example.com"
{table}
[[registry.mirror]]
location = "all.example/x"
insecure = true
[[registry.mirror]]
location = "digest.example"
{digest}
[[registry.mirror]]
location = "tag.example"
{tag}
"""


@pytest.mark.parametrize(
    ("table", "uses", "suffix", "hosts"),
    [
        ("", True, ":1", ["all.example", "tag.example", "example.com"]),
        ("", True, f"@{DIGEST}", ["all.example", "digest.example", "example.com"]),
        ("", True, f":1@{DIGEST}", ["all.example", "digest.example", "example.com"]),
        ("mirror-by-digest-only = true", False, ":1", ["example.com"]),
        (
            "mirror-by-digest-only = true",
            False,
            f"@{DIGEST}",
            ["all.example", "digest.example", "tag.example", "example.com"],
        ),
    ],
)
def test_mirrors_come_first_if_they_serve_such_references(etc, table, uses, suffix, hosts):
    digest, tag = ('pull-from-mirror = "digest-only"', 'pull-from-mirror = "tag-only"') if uses else ("", "")
    registries = load(etc, MIRRORS.format(table=table, digest=digest, tag=tag))
    endpoints = registries.endpoints(reference(f"example.com/ns/a{suffix}"))
    assert [endpoint.reference.domain for endpoint in endpoints] == hosts
    assert [endpoint.is_mirror for endpoint in endpoints] == [True] * (len(hosts) - 1) + [False]
    if hosts[0] == "all.example":
        assert endpoints[0].insecure
        assert endpoints[0].reference.path == "x/ns/a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[registry]]\ninsecure = true", "both location and prefix are unset"),
        ('[[registry]]\nprefix = "a.example"', "location is unset and prefix is not in the format"),
        ('[[registry]]\nlocation = "https://a.example"', "URI schemes are not supported"),
        ('[[registry]]\nprefix = "*.a.example/x"\nlocation = "b.example"', "incorrectly formatted"),
        ('[[registry]]\nprefix = "*a.example"\nlocation = "b.example"', "incorrectly formatted"),
        ('[[registry]]\nlocation = "a.example"\npull-from-mirror = "all"', "must not be set for a non-mirror"),
        ('[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\ninsecure = true', "mirror location is unset"),
        (
            '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "no"',
            "unsupported pull-from-mirror value",
        ),
        (
            '[[registry]]\nlocation = "a.example"\nmirror-by-digest-only = true\n'
            '[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "all"',
            "at the same time",
        ),
        (
            '[[registry]]\nlocation = "a.example"\ninsecure = true\n'
            '[[registry]]\nprefix = "b.example"\nlocation = "a.example"',
            "conflicting 'insecure' setting",
        ),
        ('short-name-mode = "maybe"', "invalid short-name mode"),
        ('unqualified-search-registries = ["a/b"]', "Invalid unqualified-search-registries entry"),
        ('[aliases]\n"a:1" = "example.com/a"', "invalid short name"),
        ('[aliases]\n"a" = "b"', "must contain registry"),
        ('[registries.search]\nregistries = []\n[aliases]\na = "example.com/a"', "mixing sysregistry v1/v2"),
        ('registry = "x"', "expected list"),
        ('registry = ["x"]', "expected members of type dict"),
        ('[[registry]]\nlocation = "a.example"\ninsecure = "yes"', "expected bool"),
        ("[[registry", "at end of document"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "9" * 10_000, ""),
        ("#" + "x" * (1 << 20), "exceeded maximum"),
    ],
)
def test_what_is_wrong_in_the_file_ends_the_command(etc, text, message):
    with pytest.raises(TransportError, match=f"loading registries configuration .*{message}"):
        load(etc, text)


def test_bytes_that_are_no_text_are_refused(etc):
    (etc / "registries.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(TransportError, match="not UTF-8"):
        Registries.load()


def test_unknown_keys_are_ignored(etc):
    registries = load(etc, 'later = 1\n[[registry]]\nlocation = "a.example"\nlater = []\n')
    assert places(registries, "a.example/x") == [("a.example/x:latest", False, False)]


def test_of_two_tables_with_one_prefix_the_first_wins(etc):
    registries = load(
        etc,
        '[[registry]]\nprefix = "a.example"\nlocation = "b.example"\n'
        '[[registry]]\nprefix = "a.example"\nlocation = "c.example"\n',
    )
    assert places(registries, "a.example/x")[0][0] == "b.example/x:latest"


def test_drop_ins_of_the_system_and_then_of_the_user_are_merged(etc, own):
    (etc / "registries.conf").write_text(
        'credential-helpers = ["one"]\n[[registry]]\nlocation = "a.example"\n[aliases]\na = "example.com/a"\n'
    )
    for folder, name, text in (
        (etc, "20.conf", '[[registry]]\nlocation = "a.example"\ninsecure = true\n'),
        (etc, "10.conf", '[[registry]]\nlocation = "a.example"\nblocked = true\n'),
        (etc, "30.txt", "nonsense ="),
        (own, "00.conf", 'credential-helpers = ["two"]\n[aliases]\na = ""\nb = "docker.io/b"\n'),
    ):
        (folder / "registries.conf.d").mkdir(exist_ok=True)
        (folder / "registries.conf.d" / name).write_text(text)
    registries = Registries.load()
    assert places(registries, "a.example/x") == [("a.example/x:latest", True, False)]
    assert registries.credential_helpers == ("two",)
    assert registries.aliases == {"b": "docker.io/library/b"}


def test_the_users_own_file_is_used_alone(etc, own):
    (etc / "registries.conf").write_text('[[registry]]\nlocation = "a.example"\nblocked = true\n')
    (etc / "registries.conf.d").mkdir()
    (etc / "registries.conf.d" / "x.conf").write_text("nonsense =")
    (own / "registries.conf").write_text('[[registry]]\nlocation = "b.example"\ninsecure = true\n')
    registries = Registries.load()
    registries.require_allowed("a.example")
    assert registries.insecure("b.example")


def test_broken_drop_ins_end_the_command(etc):
    (etc / "registries.conf.d").mkdir()
    (etc / "registries.conf.d" / "x.conf").write_text("[registries.block]\nregistries = []")
    with pytest.raises(TransportError, match="must be in v2 format but is in v1"):
        Registries.load()


def test_the_first_version_of_the_format_is_understood(etc):
    registries = load(
        etc,
        '[registries.search]\nregistries = ["s.example"]\n[registries.insecure]\nregistries = ["i.example/"]\n'
        '[registries.block]\nregistries = ["b.example"]\n',
    )
    assert registries.search == ("s.example",)
    assert registries.insecure("i.example")
    with pytest.raises(TransportError, match="blocked"):
        registries.require_allowed("b.example")
