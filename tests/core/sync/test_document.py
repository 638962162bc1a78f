"""The file that says what to sync."""

from __future__ import annotations

import contextlib
import pickle
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from transship.errors import TransshipError, UnsupportedError
from transship.image.platform import Platform
from transship.image.reference import DockerReference
from transship.sync.document import load_sync_document
from transship.sync.naming import FIELDS
from transship.sync.selection import TagSelection
from transship.sync.settings import SETTINGS, SourceSettings

_DIGEST = "sha256:" + "0123456789abcdef" * 4


class Lines:
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def warning(self, message, **fields):
        self.lines.append(("warning", message, fields))

    def error(self, message, **fields):
        self.lines.append(("error", message, fields))


def _load(text):
    log = Lines()
    data = text if isinstance(text, bytes) else text.encode()
    return load_sync_document(data, "sync.yml", log), log.lines


def _only(text):
    (source,), lines = _load(text)
    assert lines == []
    return source


def _images(source):
    return {str(one.repository): [str(image) for image in one.images] for one in source.repositories}


@pytest.fixture(params=["with libyaml", "without"])
def _each_parser(request, monkeypatch):
    if request.param == "without":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)


@pytest.mark.usefixtures("_each_parser")
def test_everything_that_skopeo_knows_is_read():
    first, second = _load(f"""
host.tld:5000:
  images:
    repo/a: []
    repo/b: ["1.0", v2, {_DIGEST}]
  images-by-tag-regex:
    repo/c: ^1\\.[0-9]+$
  images-by-semver:
    repo/d: ">= 3.12, < 4"
  credentials: {{username: me, password: secret}}
  tls-verify: false
  cert-dir: /certs
quay.io:
  images:
    app:
""")[0]
    assert (first.registry, second.registry) == ("host.tld:5000", "quay.io")
    host = "host.tld:5000"
    assert _images(first) == {
        f"{host}/repo/a": [],
        f"{host}/repo/b": [f"{host}/repo/b:1.0", f"{host}/repo/b:v2", f"{host}/repo/b@{_DIGEST}"],
        f"{host}/repo/c": [],
        f"{host}/repo/d": [],
    }
    selections = [one.settings.selection for one in first.repositories]
    assert selections[0].is_everything
    assert selections[2] == TagSelection(include=(r"^1\.[0-9]+$",))
    assert selections[3] == TagSelection(semver=">= 3.12, < 4")
    assert (first.credentials.username, first.credentials.password) == ("me", "secret")
    assert (first.tls_verify, first.cert_dir) == (False, "/certs")
    assert (second.credentials, second.tls_verify, second.cert_dir) == (None, None, "")


def test_scalars_are_read_as_they_stand_there():
    source = _only("5000.tld: {images: {app: [1.0, 1.10, 2024-01-02, 0x1F, true, 'null', 010], 1: [v1]}}")
    tags = ["1.0", "1.10", "2024-01-02", "0x1F", "true", "null", "010"]
    assert _images(source) == {
        "5000.tld/app": [f"5000.tld/app:{tag}" for tag in tags],
        "5000.tld/1": ["5000.tld/1:v1"],
    }


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("yes", True),
        ("On", True),
        ("false", False),
        ("no", False),
        ("OFF", False),
        ("~", None),
        ("", None),
    ],
)
def test_truth_has_the_words_of_yaml(word, value):
    assert _only(f"h.tld:\n  tls-verify: {word}\n  images: {{a: []}}\n").tls_verify is value


def test_unknown_keys_are_not_looked_at():
    source = _only("h.tld: {images: {a: []}, foo: [1, {x: y}], credentials: {username: u, more: [1]}}")
    assert source.credentials.username == "u"


def test_anchors_and_merges_are_followed():
    first, second = _load("""
a.tld: &a
  tls-verify: false
  images: &i {x: &t [v1], y: *t}
b.tld:
  <<: [*a, {cert-dir: /c, tls-verify: true}]
  images: {<<: *i, y: [v2]}
""")[0]
    assert first.repositories[1].images == (DockerReference("a.tld", "y", "v1"),)
    assert (second.tls_verify, second.cert_dir) == (False, "/c")
    assert _images(second) == {"b.tld/x": ["b.tld/x:v1"], "b.tld/y": ["b.tld/y:v2"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- h.tld", "line 1"),
        ("h.tld: [images]", "line 1"),
        ("h.tld:\n  images: []", "line 2"),
        ("h.tld:\n  images:\n    a: v1", "line 3"),
        ("h.tld:\n  images:\n    a: [[v1]]", "line 3"),
        ("h.tld:\n  images-by-tag-regex: {a: [x]}", "line 2"),
        ("h.tld:\n  tls-verify: maybe\n", "line 2"),
        ("h.tld:\n  tls-verify: 'false'\n", "line 2"),
        ("h.tld:\n  cert-dir: [x]\n", "line 2"),
        ("h.tld:\n  credentials: me\n", "line 2"),
        ("h.tld:\n  images: {a: [], b: [], a: []}", "line 2: mapping key"),
        ("h.tld: {}\nh.tld: {}", "line 2: mapping key"),
        ("h.tld:\n  images:\n  images:\n", "line 3: mapping key"),
        ("{[a]: {}}", "line 1"),
        ("h.tld: {<<: 1}", "line 1"),
        ("h.tld:\n  images: [", "line"),
        ("h.tld: *nowhere", "line 1"),
        ("h.tld: &x {images: *x}", "line 1"),
        ("a: b: c", "line 1"),
        (b"h.tld: \xff", "yaml"),
        (b"h.tld: \x00", "yaml"),
        ("h.tld: !!python/object/apply:os.system [x]", "line 1"),
        ("h.tld:\n  images-by-tag-regex:\n    a: '('", "line 3: error parsing regexp"),
        ("h.tld:\n  images-by-semver:\n    a: foo", "line 3: improper constraint"),
        ("h.tld:\n  images-by-semver:\n    a: ''", "line 3: improper constraint"),
    ],
)
@pytest.mark.usefixtures("_each_parser")
def test_what_is_wrong_is_an_error_that_names_file_and_line(text, message):
    with pytest.raises(TransshipError) as caught:
        _load(text)
    assert str(caught.value).startswith('Failed to unmarshal "sync.yml": ')
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_never_shown():
    with pytest.raises(TransshipError) as caught:
        _load("h.tld:\n  credentials:\n    password: [hunter2]")
    assert "hunter2" not in str(caught.value)
    source = _only("h.tld: {images: {a: []}, credentials: {username: u, password: hunter2}}")
    assert "hunter2" not in repr(source)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("~", 0), ("{}", 0), ("# nothing\n", 0), ("---\n...\n", 0)])
def test_an_empty_file_has_no_sources(text, count):
    assert len(_load(text)[0]) == count


def test_what_cannot_be_an_image_is_left_out_and_said():
    (source,), lines = _load("""
h.tld:
  images:
    APP: [v1]
    app:v1: []
    good: [bad tag, ~, sha256:abc, v1]
    bad: [bad tag]
  images-by-tag-regex: {"x//y": a}
""")
    assert _images(source) == {"h.tld/good": ["h.tld/good:v1"]}
    said = [(message, fields.get("repo", fields.get("ref"))) for _, message, fields in lines if fields]
    assert said == [
        ("Error parsing repository name, skipping", "APP"),
        ("Error parsing repository name, skipping", "app:v1"),
        ("Error parsing ref, skipping", "bad tag"),
        ("Error parsing ref, skipping", ""),
        ("Error parsing ref, skipping", "sha256:abc"),
        ("Error parsing ref, skipping", "bad tag"),
        ("No refs to sync found", "bad"),
        ("Error parsing repository name, skipping", "x//y"),
    ]
    assert [level for level, message, _ in lines if message == "No refs to sync found"] == ["warning"]


@pytest.mark.parametrize(
    "text", ["h.tld:", "h.tld: {tls-verify: true}", "h.tld: {images: {}}", "h.tld: {Images: {a: []}}"]
)
def test_a_registry_without_images_is_said(text):
    (source,), lines = _load(text)
    assert source.repositories == ()
    assert lines == [("warning", "No images specified for registry", {"registry": "h.tld"})]


def test_a_further_document_is_said():
    (source,), lines = _load("h.tld: {images: {a: []}}\n---\nother.tld: {}\n")
    assert source.registry == "h.tld"
    assert [level for level, _, _ in lines] == ["warning"]


def test_settings_of_a_repository_come_before_those_of_its_registry():
    source = _only("""
h.tld:
  images: {a: [], b: [], c: [v1]}
  images-by-tag-regex: {d: ^x}
  transship:
    include-tag: ^v
    exclude-tag: [rc, beta]
    newest: 5
    platform: [linux/amd64, linux/arm64/v8]
    referrers: yes
    dest-name: "{name}:{tag}"
    repositories:
      b: {newest: 1, newest-by: created, semver: ">1", include-tag: [], scoped: true, append-suffix: -x}
""")
    settings = {str(one.repository.path): one.settings for one in source.repositories}
    assert settings["a"] == SourceSettings(
        include=("^v",),
        exclude=("rc", "beta"),
        newest=5,
        platforms=(Platform("linux", "amd64"), Platform("linux", "arm64", "v8")),
        referrers=True,
        dest_name="{name}:{tag}",
    )
    assert settings["b"].selection == TagSelection((), ("rc", "beta"), ">1", 1, "created")
    assert (settings["b"].scoped, settings["b"].append_suffix, settings["b"].referrers) == (True, "-x", True)
    assert settings["c"] == settings["a"]
    assert settings["d"].selection == TagSelection(("^x",), ("rc", "beta"), "", 5)


def test_what_the_file_says_comes_before_what_the_command_line_says():
    (repository,) = _only("h.tld: {images: {a: []}, transship: {newest: 2}}").repositories
    merged = repository.settings.over(SourceSettings(newest=9, include=("^v",), referrers=False))
    assert merged == SourceSettings(newest=2, include=("^v",), referrers=False)


@pytest.mark.parametrize(
    "settings",
    [
        "newset: 1",
        "newest: 0",
        "newest: x",
        "newest: '3'",
        "newest: 1234567890123456789",
        "newest-by: size",
        "semver: foo",
        "include-tag: '('",
        "exclude-tag: {a: b}",
        "platform: amd64",
        "referrers: maybe",
        "dest-name: '{x}'",
        "repositories: {b: {}}",
        "repositories: {a: {repositories: {}}}",
        "repositories: [a]",
        "newest: 1, newest: 2",
    ],
)
def test_own_settings_that_are_wrong_are_refused(settings):
    with pytest.raises(TransshipError, match=r'^Failed to unmarshal "sync\.yml": line 1: '):
        _load(f"h.tld: {{images: {{a: []}}, transship: {{{settings}}}}}")


def _bomb(levels):
    lines = ["l0: &l0 [v, v, v, v, v, v, v, v, v, v]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


_TAGS = ", ".join(["v1"] * 5000)
_REPOSITORIES = ", ".join(f"r{n}: *t" for n in range(5000))


@pytest.mark.parametrize(
    "text",
    [
        _bomb(30),
        "[" * 100_000,
        "{a: " * 100_000,
        "a:\n" + "\n".join(" " * n + "- " for n in range(1, 300)),
        f"h.tld: {{images: {{x: &t [{_TAGS}], {_REPOSITORIES}}}}}",
        "h.tld: {" + "x: " + "9" * 1_000_000 + "}",
        "a0: &a0 {}\n" + "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)),
        "a: " + "&a " * 10_000,
        " " * (5 << 20),
    ],
    ids=["bomb", "lists", "mappings", "indents", "aliases", "digits", "merges", "anchors", "size"],
)
def test_a_file_that_wants_to_hurt_is_over_at_once(text):
    start = time.process_time()
    with contextlib.suppress(TransshipError):
        _load(text)
    assert time.process_time() - start < 10


@given(st.one_of(st.binary(max_size=60), st.text(alphabet="ab: {}[]&*<-\n'\"!|>#%@,?", max_size=60).map(str.encode)))
@example(b"? [a]\n: b")
@example(b"a: !!binary x")
@example(b"\xfe\xff\xd8\x00")
def test_any_bytes_are_read_or_a_clear_error(data):
    with contextlib.suppress(TransshipError):
        _load(data)


_KEYS = ["h.tld", "images", "images-by-tag-regex", "images-by-semver", "credentials", "tls-verify", "transship"]
_KEYS += ["repositories", "newest", "include-tag", "a", "<<"]
_NODES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["a", "v1", "h.tld", "(", "<<", "", "1.0"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@given(_NODES)
def test_any_structure_is_read_or_a_clear_error(structure):
    with contextlib.suppress(TransshipError):
        _load(yaml.safe_dump(structure))


def test_sources_can_be_sent_to_another_process():
    source = _only("h.tld: {images: {a: [v1]}, transship: {newest: 1}}")
    assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - made above


def test_the_page_names_every_key_and_field_and_its_example_is_read():
    page = (Path(__file__).parents[3] / "docs/reference/sync-file.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    sources, lines = _load(example)
    assert [(source.registry, len(source.repositories)) for source in sources] == [
        ("registry.example.com:5000", 4),
        ("quay.io", 1),
    ]
    assert lines == []
    assert [field for field in FIELDS if f"`{{{field}}}`" not in page] == []
    assert [key for key in SETTINGS if f"`{key}`" not in page] == []


def test_a_missing_library_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UnsupportedError, match=r"transship-core\[sync\]"):
        _load("h.tld: {images: {a: []}}")
