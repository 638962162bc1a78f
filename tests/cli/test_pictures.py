"""``tree`` and ``diff``: on a terminal, as a page and as JSON, also of images that mean harm."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from transship.cli.pictures.drawing import ASCII, UNICODE, Drawing, Twig, fitted
from transship.cli.pictures.wording import SHOWN, one_line
from transship.cli.sizes import size_text
from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.testing.images import Image, oci_image, oci_index
from transship.testing.writers import write_dir

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\r\n├── linux/amd64\u202e\u2066\u200b\u2028"
    "</code></td><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload='alert(3)&lt;&#60;\\"
)
HARMFUL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "div", "section", "h1", "h2", "h3"),
    *("h4", "h5", "h6"),
    *("p", "span", "code", "ul", "li", "a", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "svg", "rect"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "scope", "role"),
    *("aria-label", "aria-hidden", "data-column", "x", "width", "height"),
}


class Page(HTMLParser):
    """A page as a browser's parser sees it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.values, self.texts, self.tables = [], set(), [], [], []
        self._open = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [(tag, *attribute) for attribute in attrs]
        if tag not in ("meta",) and not (tag == "rect" and self.get_starttag_text().endswith("/>")):
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self._open) and "title" not in self._open:
            self.tables[-1][-1][-1] += data

    def value(self, tag, name):
        return [value for element, attribute, value in self.values if (element, attribute) == (tag, name)]


def page_of(path):
    return Page(path.read_text(encoding="utf-8"))


def descriptor(media_type, data, **members):
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data), **members}


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """An index of an image, both of which say ``HOSTILE`` wherever they can say anything."""
    monkeypatch.chdir(tmp_path)
    layer = b"layer"
    config = json.dumps(
        {
            "architecture": HOSTILE,
            "os": HOSTILE,
            "created": "2024-01-02T03:04:05Z",
            "author": HOSTILE,
            HOSTILE: {HOSTILE: [HOSTILE]},
            "config": {"Env": [HOSTILE, f"{HOSTILE}={HOSTILE}"], "Labels": {HOSTILE: HOSTILE}, "Cmd": [HOSTILE]},
            "rootfs": {"type": HOSTILE, "diff_ids": [HOSTILE]},
            "history": [{"created_by": HOSTILE, "comment": HOSTILE, "author": HOSTILE}] * 2,
        }
    ).encode()
    layers = [
        descriptor(f"{OCI_LAYER_GZIP}{HOSTILE}", layer, urls=[HOSTILE], annotations={HOSTILE: HOSTILE}),
        descriptor(HOSTILE, layer, annotations={"org.opencontainers.image.title": HOSTILE}),
    ]
    said = {"annotations": {HOSTILE: HOSTILE}}
    members = {"config": descriptor(OCI_CONFIG, config), "layers": layers, "artifactType": HOSTILE, **said}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **members}).encode()
    image = Image(manifest, OCI_MANIFEST, {digest_of(config): config, digest_of(layer): layer}, config)
    platform = {"os": HOSTILE, "architecture": HOSTILE, "variant": HOSTILE, "os.version": HOSTILE}
    entries = [
        descriptor(OCI_MANIFEST, manifest, platform=platform, **said),
        descriptor(HOSTILE, b"nothing", platform=platform, **said),
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": HOSTILE, "manifests": entries, **said}
    write_dir(Image(json.dumps(index).encode(), OCI_INDEX, instances=(image,)), tmp_path / "hostile")
    write_dir(image, tmp_path / "image")
    write_dir(oci_image(), tmp_path / "good")
    write_dir(oci_index(), tmp_path / "index")
    return tmp_path


PICTURES = ["tree dir:hostile", "tree dir:image", "diff dir:image dir:good", "diff dir:hostile dir:index"]


@pytest.mark.uses("dir")
class TestHostileImage:
    @pytest.mark.parametrize("command", PICTURES)
    @pytest.mark.parametrize("flag", ["--ascii=false", "--ascii", "--json"])
    def test_cannot_steer_a_terminal(self, run, hostile, command, flag):
        outcome = run(*command.split(), flag)
        assert outcome.code == 0, outcome.err
        assert not HARMFUL.search(outcome.out)
        assert "alert(1)" in outcome.out
        assert outcome.out.isascii() or flag == "--ascii=false"

    @pytest.mark.parametrize("command", PICTURES)
    def test_cannot_make_lines_of_its_own(self, run, hostile, command):
        outcome = run(*command.split())
        assert not [line for line in outcome.lines if line.startswith("├── linux/amd64") and "alert" not in line][1:]
        assert all("script" not in line or "owned" in line for line in outcome.lines)

    @pytest.mark.parametrize("command", PICTURES)
    def test_cannot_put_anything_into_a_page(self, run, hostile, command):
        outcome = run(*command.split(), "--html", "page.html")
        assert (outcome.code, outcome.out) == (0, "")
        text = (hostile / "page.html").read_text(encoding="utf-8")
        page = Page(text)
        assert set(page.elements) <= ELEMENTS
        assert page.attributes <= ATTRIBUTES
        assert all(value.startswith("#part") for value in page.value("a", "href"))
        assert any("<script>alert(1)</script>" in text for text in page.texts)
        assert not HARMFUL.search(text.replace("\n", ""))

    def test_json_holds_what_it_says(self, run, hostile):
        document = json.loads(run("tree", "dir:hostile", "--json").out)
        assert document["annotations"] == {HOSTILE: HOSTILE}
        image, other = document["members"]
        assert image["platform"]["variant"] == HOSTILE
        assert image["config_members"]["config"]["Labels"] == {HOSTILE: HOSTILE}
        assert image["history"][0]["created_by"] == HOSTILE
        assert (other["kind"], other["artifact_type"]) == ("artifact", HOSTILE)


class TestPage:
    @pytest.mark.uses("oci")
    def test_loads_nothing_and_runs_nothing(self, run, images):
        run("tree", "oci:layout:index", "--html", "page.html")
        page = page_of(images / "page.html")
        assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.elements)
        assert not {"src", "style", "srcset", "onclick"} & page.attributes
        (policy,) = [value for value in page.value("meta", "content") if "default-src" in value]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy

    @pytest.mark.uses("oci")
    def test_has_the_one_style_sheet_that_its_policy_allows(self, run, images):
        run("tree", "oci:layout:v1", "--html", "page.html")
        text = (images / "page.html").read_text(encoding="utf-8")
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
        hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{hashed}'" in Page(text).value("meta", "content")[0]
        assert "url(" not in style
        assert "@import" not in style

    @pytest.mark.uses("oci")
    def test_of_a_tree_has_a_row_for_each_member_and_layer(self, run, images):
        run("tree", "oci:layout:index", "--html", "page.html")
        page = page_of(images / "page.html")
        members, *layers = [table for table in page.tables if "Digest" in table[0]]
        index = oci_index()
        assert [row[-1] for row in members[1:]] == [instance.digest.encoded[:12] for instance in index.instances]
        assert [len(table) - 1 for table in layers] == [2] * len(index.instances)
        targets = [value.removeprefix("#") for value in page.value("a", "href")]
        assert len(targets) == len(set(targets)) == len(index.instances)
        assert set(targets) <= set(page.value("section", "id"))

    @pytest.mark.uses("dir", "oci")
    def test_of_a_difference_has_a_row_for_each_layer_and_change(self, run, images):
        write_dir(oci_image(architecture="arm64", variant="v8"), images / "arm")
        run("diff", "oci:layout:v1", "dir:arm", "--html", "page.html")
        layers, changes = page_of(images / "page.html").tables
        assert [row[0] for row in layers[1:]] == ["both", "only in the first", "only in the second"]
        assert [row for row in changes[1:]] == [
            ["architecture", "amd64", "arm64"],
            ["variant", "says nothing", "v8"],
        ]

    @pytest.mark.uses("dir")
    def test_names_settings_by_where_they_stand(self, run, tmp_path):
        config = json.dumps(
            {"os": "linux", "architecture": "amd64", "config": {"os": "plan9", "Env": ["A=1"]}}
        ).encode()
        members = {"config": descriptor(OCI_CONFIG, config), "layers": []}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **members}).encode()
        write_dir(Image(manifest, OCI_MANIFEST, {digest_of(config): config}), tmp_path / "image")
        run("tree", f"dir:{tmp_path}/image", "--html", str(tmp_path / "page.html"))
        (settings,) = page_of(tmp_path / "page.html").tables
        rows = [["os", "linux"], ["architecture", "amd64"], ["config.os", "plan9"], ["config.Env", '["A=1"]']]
        assert settings[1:] == rows

    @pytest.mark.uses("oci")
    def test_has_headings_without_gaps(self, run, images):
        run("tree", "oci:layout:index", "--html", "page.html")
        levels = [int(tag[1]) for tag in page_of(images / "page.html").elements if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1
        assert all(lower - upper <= 1 for upper, lower in itertools.pairwise(levels))

    @pytest.mark.uses("oci")
    def test_is_written_whole_or_not_at_all(self, run, images):
        (images / "page.html").write_text("an older one")
        assert run("tree", "oci:layout:nothing", "--html", "page.html").code == 2
        assert (images / "page.html").read_text() == "an older one"
        assert run("tree", "oci:layout:v1", "--html", "nowhere/page.html").code == 1

    @pytest.mark.uses("oci")
    def test_is_the_same_each_time(self, run, images):
        for name in ("one.html", "two.html"):
            run("tree", "oci:layout:index", "--html", name)
        assert (images / "one.html").read_bytes() == (images / "two.html").read_bytes()


class TestTree:
    @pytest.mark.uses("oci")
    def test_names_platforms_layers_and_sizes(self, run, images):
        out = run("tree", "oci:layout:index").out
        for instance in oci_index().instances:
            assert str(instance.digest) in out
            assert all(digest.encoded[:12] in out for digest in list(instance.blobs)[1:])
        assert "linux/arm64/v8" in out
        assert "shared" in out

    @pytest.mark.uses("oci")
    def test_json_agrees_with_the_image(self, run, images):
        document = json.loads(run("tree", "--json", "oci:layout:v1").out)
        image = oci_image()
        assert document["digest"] == str(image.digest)
        assert document["size"] == len(image.manifest) + sum(map(len, image.blobs.values()))
        assert [layer["diff_id"] for layer in document["layers"]] == list(map(str, image.diff_ids))
        assert document["config_members"]["architecture"] == "amd64"

    @pytest.mark.uses("dir")
    def test_unknown_size_is_null(self, run, images):
        document = json.loads(run("tree", "--json", "dir:old").out)
        assert document["size"] is None
        assert {layer["size"] for layer in document["layers"]} == {None}

    @pytest.mark.uses("dir")
    def test_broken_member_is_shown_and_warned_of(self, run, images):
        (
            images
            / "list"
            / f"{json.loads((images / 'list/manifest.json').read_bytes())['manifests'][0]['digest'][7:]}.manifest.json"
        ).unlink()
        outcome = run("tree", "dir:list")
        assert outcome.code == 0
        assert "level=warning" in outcome.err
        assert "no such file" in outcome.out

    @pytest.mark.uses("dir")
    def test_long_lists_are_cut_and_that_is_said(self, run, tmp_path):
        layers = [{"mediaType": OCI_LAYER_GZIP, "digest": f"sha256:{number:064x}", "size": 1} for number in range(150)]
        config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
        members = {"config": descriptor(OCI_CONFIG, config), "layers": layers}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **members}).encode()
        write_dir(Image(manifest, OCI_MANIFEST, {digest_of(config): config}), tmp_path / "long")
        outcome = run("tree", f"dir:{tmp_path}/long")
        assert len(outcome.lines) == SHOWN + 4
        assert f"{150 - SHOWN} more layers" in outcome.lines[-1]
        run("tree", f"dir:{tmp_path}/long", "--html", str(tmp_path / "page.html"))
        page = page_of(tmp_path / "page.html")
        assert len(page.tables[0]) == SHOWN + 1
        assert f"{150 - SHOWN} more layers" in page.texts

    @pytest.mark.uses("oci")
    @pytest.mark.parametrize(
        "args",
        [
            "",
            "oci:a:b oci:c:d",
            "--json --html x oci:layout:v1",
            "--limit 0 oci:layout:v1",
            "--platform x oci:layout:v1",
        ],
    )
    def test_wrong_usage_is_refused(self, run, images, args):
        outcome = run("tree", *args.split())
        assert (outcome.code, outcome.out) == (1, "")
        assert "level=fatal" in outcome.err


class TestDiff:
    @pytest.mark.uses("oci")
    def test_equal_images_are_called_so(self, run, images):
        outcome = run("diff", "--exit-code", "oci:layout:index", "oci:layout:index")
        assert outcome.code == 0
        assert outcome.lines[-1] == "the same, byte for byte"

    @pytest.mark.uses("dir", "oci")
    def test_exit_code_tells_differences_from_failures_if_asked(self, run, images):
        assert run("diff", "oci:layout:v1", "oci:layout:zstd").code == 0
        assert run("diff", "--exit-code", "oci:layout:v1", "oci:layout:zstd").code == 3
        assert run("diff", "--exit-code", "oci:layout:v1", "oci:layout:nothing").code == 2
        assert run("diff", "--exit-code", "oci:layout:v1", "dir:nowhere").code == 1

    @pytest.mark.uses("dir", "oci")
    def test_json_tells_who_has_what(self, run, images):
        write_dir(oci_image(architecture="arm64", variant="v8"), images / "arm")
        document = json.loads(run("diff", "--json", "oci:layout:v1", "dir:arm").out)
        (part,) = document["parts"]
        assert document["equal"] is False
        assert [(layer["first"] is None, layer["second"] is None) for layer in part["layers"]] == [
            (False, False),
            (False, True),
            (True, False),
        ]
        assert part["changes"][0] == {"name": "architecture", "first": "amd64", "second": "arm64"}
        assert document["sizes"]["shared"] == part["layers"][0]["first"]["size"]

    @pytest.mark.uses("docker")
    def test_each_image_gets_its_own_credentials_only(self, run, images):
        from transship.testing.registry import Registry

        with Registry(auth="basic", users={"ann": "a"}) as first, Registry(auth="basic", users={"bob": "b"}) as second:
            for registry in (first, second):
                registry.put_image("app", "v1", oci_image())
            flags = ["--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds=ann:a", "--dest-creds=bob:b"]
            outcome = run("diff", *flags, f"docker://{first.host}/app:v1", f"docker://{second.host}/app:v1")
            assert outcome.code == 0, outcome.err
            ann, bob = (base64.b64encode(each).decode() for each in (b"ann:a", b"bob:b"))
            assert not [request for request in first.requests if bob in str(request.headers)]
            assert not [request for request in second.requests if ann in str(request.headers)]
            assert [request for request in second.requests if bob in str(request.headers)]


class _Terminal(io.TextIOWrapper):
    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self):
        return True

    @property
    def written(self):
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.uses("oci")
class TestTerminal:
    @pytest.fixture
    def shown(self, images, monkeypatch):
        """What a terminal gets to see."""

        def show(*args, encoding="utf-8", **environment):
            from transship.cli.application import Application

            terminal = _Terminal(encoding)
            for name in ("NO_COLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS"):
                monkeypatch.delenv(name, raising=False)
            for name, value in {"COLUMNS": "60", "LINES": "24", **environment}.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(sys, "stdout", terminal)
            assert Application().run([*args, "--insecure-policy"]) == 0
            return terminal.written

        return show

    def test_lines_fit_its_width(self, shown):
        lines = re.sub(r"\x1b\[\d*m", "", shown("tree", "oci:layout:index")).splitlines()
        assert max(map(len, lines)) == 60

    def test_has_colours_unless_nobody_wants_them(self, shown):
        assert "\x1b[" in shown("tree", "oci:layout:v1")
        assert "\x1b[" not in shown("tree", "oci:layout:v1", NO_COLOR="1")
        assert "\x1b[" not in shown("tree", "oci:layout:v1", TERM="dumb")

    def test_that_knows_no_lines_gets_ascii(self, shown):
        assert "├" in shown("tree", "oci:layout:v1")
        assert "`--" in shown("tree", "oci:layout:v1", encoding="latin-1")
        assert shown("tree", "oci:layout:v1", encoding="ascii").isascii()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (-1, "unknown size"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (1 << 30, "1.0 GiB"),
        ((1 << 63) - 1, "8.0 EiB"),
    ],
)
def test_sizes_are_in_binary_units(size, text):
    assert size_text(size) == text


def test_long_text_is_cut():
    assert len(one_line("x" * 10_000_000)) < 5000


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 5, "日本…"),
        ("日本語", 6, "日本語"),
        ("abc", 0, "…"),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
    ],
)
def test_text_is_fitted_to_columns(text, width, expected):
    assert fitted(text, width, "…") == expected


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_branches_lead_to_what_hangs_on_them(glyphs):
    twig = Twig("top", ["note"], [Twig("one", twigs=[Twig("inner")]), Twig("two", ["about two"])])
    assert list(Drawing(glyphs).lines(twig)) == [
        "top",
        f"{glyphs.beside}note",
        f"{glyphs.branch}one",
        f"{glyphs.beside}{glyphs.last}inner",
        f"{glyphs.last}two",
        f"{glyphs.below}{glyphs.below}about two",
    ]
