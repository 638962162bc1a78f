"""The template language: what Go does, and what no template may do."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transship.cli.gotemplate.columns import align
from transship.cli.gotemplate.engine import render
from transship.cli.gotemplate.errors import NESTING_LIMIT, TEMPLATE_LIMIT, Budget, TemplateError
from transship.cli.gotemplate.gotime import GoTime
from transship.cli.gotemplate.values import Boxed, GoInt, GoList, GoMap, GoPointer, GoStruct, GoTyped

ITEM = GoStruct("main.Item", {"N": GoInt("int64", 7), "Gone": GoPointer("time.Time", None)})
DATA = GoStruct(
    "main.Data",
    {
        "S": "héllo",
        "Empty": "",
        "D": GoTyped("digest.Digest", "sha256:" + "a" * 64),
        "L": GoList("string", ["a", "b", "c"]),
        "Nil": GoList("string", None),
        "M": GoMap("string", {"z": "1", "a": "2"}),
        "NoMap": GoMap("string", None),
        "T": GoPointer("time.Time", GoTime.parse("2024-02-29T23:05:09.120Z")),
        "Items": GoList("main.Item", [ITEM, ITEM]),
        "Any": Boxed("boxed"),
        "Yes": True,
        "F": 2.5,
        "I": 3,
    },
)


def run(template: str) -> str:
    return render("t", template, DATA)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""),
        ("plain } { text", "plain } { text"),
        (
            "{{.S}} {{.L}} {{.M}} {{.Nil}} {{.NoMap}} {{.Yes}} {{.F}} {{.I}}",
            "héllo [a b c] map[a:2 z:1] [] map[] true 2.5 3",
        ),
        ("a \n {{- .I -}} \n b", "a3b"),
        ("{{- /* note */ -}} x", "x"),
        ("{{/* {{.Nope}} */}}x", "x"),
        ("{{if .Empty}}1{{else if .Nil}}2{{else if .S}}3{{else}}4{{end}}", "3"),
        ("{{with .Empty}}1{{else with .S}}{{.}}{{else}}2{{end}}", "héllo"),
        ("{{range .L}}{{.}}{{else}}none{{end}}{{range .Nil}}x{{else}}none{{end}}", "abcnone"),
        ("{{range $e := .L}}{{$e}}{{end}}{{range $i, $e := .M}}{{$i}}{{$e}}{{end}}", "abca2z1"),
        ('{{range .L}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}', "ac"),
        ('{{range .L}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"),
        ("{{range $i, $_ := .L}}{{$x := $i}}{{range $.L}}{{break}}{{end}}{{$x}}{{end}}", "012"),
        ('{{define "x"}}[{{.}}{{$}}]{{end}}{{template "x" .I}}{{template "x"}}', "[33][<no value><no value>]"),
        ('{{block "b" .L}}{{len .}}{{end}}{{template "b" .M}}', "32"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{end}}{{$x}}", "2"),
        ("{{(index .Items 1).N}} {{(index .Items 0).Gone}} {{.Any}}", "7 <nil> boxed"),
        ('{{index .M "a"}}{{index .M "b"}}|{{.M.b}}|{{.M.b.c}}', "2|<no value>|<no value>"),
        ("{{.L | join | printf}}", None),
        ('{{"-" | join .L}}', "a-b-c"),
        ("{{len .S}} {{slice .S 0 1}} {{index .S 0}}", "6 h 104"),
        ('{{.T.Format "Jan 2 2006 3:04PM"}} {{.T.Month}} {{printf "%d" .T.Month}}', "Feb 29 2024 11:05PM February 2"),
        ("{{.T}} {{json .T}}", '2024-02-29 23:05:09.12 +0000 UTC "2024-02-29T23:05:09.12Z"'),
        (
            "{{json .M}} {{json .Nil}} {{json .Items}} {{json 1.5}} {{json nil}}",
            '{"a":"2","z":"1"} null [{"N":7,"Gone":null},{"N":7,"Gone":null}] 1.5 null',
        ),
        ('{{json "<é\u2028>"}}', '"<é\\u2028>"'),
        ("{{print .D.Algorithm .D.Hex | len}}", "70"),
        ('{{"\\x41\\u00e9\\U0001F600\\101\\n"}}{{`\\n`}}', "A\u00e9\U0001f600A\n\\n"),
        ("{{'a'}} {{'\\n'}} {{'\\''}} {{0x1F}} {{1e2}} {{0o17}} {{-0.5}}", "97 10 39 31 100 15 -0.5"),
        ('{{eq .I 3}}{{eq .D .D}}{{ne .S "x"}}{{and .S .I}}{{or .Empty .I}}', "truetruetrue33"),
        ('{{html "<\'&"}} {{js "\'<\\\\"}} {{urlquery "a b&c"}}', "&lt;&#39;&amp; \\'\\u003C\\\\ a+b%26c"),
        (
            '{{printf "%v %+v %T" .Items .Items .Items}}',
            "[{7 <nil>} {7 <nil>}] [{N:7 Gone:<nil>} {N:7 Gone:<nil>}] []main.Item",
        ),
    ],
)
def test_go_renders_it_so(template, expected):
    if expected is None:
        with pytest.raises(TemplateError):
            run(template)
    else:
        assert run(template) == expected


@pytest.mark.parametrize(
    ("template", "phrase"),
    [
        ("{{.Nope}}", "can't evaluate field Nope in type main.Data"),
        ("x\n {{.S.Nope}}", "t:2:5"),
        ("{{.Gone", "unclosed action"),
        ("{{range .L}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nope}}", 'function "nope" not defined'),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{break}}", "outside {{range}}"),
        ('{{define "a"}}{{break}}{{end}}', "outside {{range}}"),
        ('{{template "x"}}', 'template "x" not defined'),
        ('{{define "a"}}1{{end}}{{define "a"}}2{{end}}', "multiple definition"),
        ('{{if .S}}{{define "a"}}{{end}}{{end}}', "unexpected <define>"),
        ("{{(index .Items 0).Gone.Year}}", "nil *Time pointer"),
        ("{{.T.Date}}", "with 3 results"),
        ("{{join .L}}", "wrong number of args"),
        ('{{join .Items ","}}', "expected []string; got []main.Item"),
        ("{{lower .D}}", "expected string; got digest.Digest"),
        ('{{truncate .S "a"}}', "expected integer"),
        ("{{truncate .S -1}}", "out of range"),
        ("{{pad .S -1 0}}", "negative Repeat count"),
        ("{{index .L 9}}", "index out of range: 9"),
        ("{{index .L -1}}", "index out of range: -1"),
        ("{{index nil 0}}", "index of untyped nil"),
        ("{{len .I}}", "len of type int"),
        ("{{eq .L .L}}", "non-comparable type []string"),
        ("{{9223372036854775808}}", "overflows int"),
        ("{{12a}}", "bad number syntax"),
        ("{{1i}}", "bad number syntax"),
        ('{{"\\q"}}', "invalid syntax"),
        ('{{"\\ud800"}}', "invalid syntax"),
        ("{{''}}", "malformed character constant"),
        ('{{.S "\n"}}', "unterminated quoted string"),
        ("{{range .I}}{{end}}", "can't iterate over 3"),
        ("{{.S | 3}}", "non executable command in pipeline stage 2"),
        ("{{call .S}}", "non-function of type string"),
    ],
)
def test_errors_say_what_go_says(template, phrase):
    with pytest.raises(TemplateError) as raised:
        run(template)
    assert phrase in str(raised.value)
    assert str(raised.value).startswith("template: t:")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["__class__", "__dict__", "fields", "items", "entries", "type_name", "target", "upper", "local", "real", "find"],
)
@pytest.mark.parametrize("of", ["", ".S", ".L", ".D", ".T", ".I", ".Items"])
def test_no_python_attribute_is_reachable(of, name):
    with pytest.raises(TemplateError, match="can't evaluate field"):
        run(f"{{{{{of}.{name}}}}}")


def test_map_keys_are_never_attributes():
    assert run("{{.M.__class__}}") == "<no value>"


DOUBLING = '{{$x := "0123456789abcdef"}}' + '{{$x = printf "%s%s" $x $x}}' * 40
BIG = '{{$x := printf "%01000000d" 1}}'


@pytest.mark.parametrize(
    "template",
    [
        "x" * (TEMPLATE_LIMIT + 1),
        "{{" + "(" * 30000 + "1" + ")" * 30000 + "}}",
        "{{if 1}}" * 7000,
        "{{if 1}}" * 7000 + "{{end}}" * 1000,
        "{{if 0}}" + "{{else if 0}}" * 4000 + "{{end}}",
        '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}',
        '{{define "a"}}{{template "b"}}{{end}}{{define "b"}}{{template "a"}}{{end}}{{template "a"}}',
        '{{define "a"}}{{template "a"}}{{template "a"}}{{end}}{{template "a"}}',
        DOUBLING,
        DOUBLING + "{{$x}}",
        '{{printf "%99999999d" 1}}',
        '{{printf "%*d" 2000000 1}}',
        '{{printf "%.99999999f" 1.0}}',
        "{{pad .S 99999999 1}}",
        BIG + '{{printf "' + "%[1]s" * 10000 + '" $x}}',
        BIG + '{{$y := split $x ""}}' + "{{range $y}}{{range $y}}{{range $y}}x{{end}}{{end}}{{end}}",
        BIG + '{{$y := split $x "0"}}{{join $y $x}}',
        BIG + "{{print" + " $x" * 10000 + "}}",
        BIG + "{{len $x}}" * 6000,
        BIG + "{{eq $x $x}}" * 5000,
        BIG + "{{$x}}" * 9000,
        BIG + "{{js $x}}" * 6000,
        BIG + '{{$y := split $x ""}}' + "{{json $y}}" * 5000,
        BIG + '{{$y := split $x ""}}' + "{{$y}}" * 5000,
    ],
    ids=range(24),
)
def test_hostile_template_is_refused_soon(template):
    start = time.monotonic()
    with pytest.raises(TemplateError):
        run(template)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "template",
    [
        "{{" + " " * 60000 + "}}",
        "{{ " * 20000,
        "{{end" + " " * 60000,
        "{{'" + "\\'" * 30000,
        '{{"' + '\\"' * 30000,
        "{{/*" * 15000,
        "{{" + "." * 60000,
        "{{" + "1_" * 30000 + "}}",
        "{{" + "9" * 60000 + "}}",
        "{{." + "x" * 60000 + "}}",
        "{{$" + ".x" * 30000 + "}}",
        "{{1 | " + "1 | " * 15000 + "}}",
        "{{- " * 15000,
        "\n" * 60000 + "{{.X}}",
    ],
    ids=range(14),
)
def test_long_oddities_are_refused_soon(template):
    start = time.monotonic()
    with pytest.raises(TemplateError):
        run(template)
    assert time.monotonic() - start < 5


def test_nesting_up_to_the_limit_works():
    depth = NESTING_LIMIT - 1
    assert run("{{" + "(" * depth + "1" + ")" * depth + "}}") == "1"
    assert run("{{if 1}}" * depth + "x" + "{{end}}" * depth) == "x"


def test_recursion_that_ends_works():
    countdown = '{{define "a"}}{{len .}}{{if .}}{{template "a" slice . 1}}{{end}}{{end}}'
    assert run(countdown + '{{template "a" .L}}') == "3210"


def test_recursion_through_nested_blocks_is_refused():
    depth = NESTING_LIMIT - 2
    body = "{{if 1}}" * depth + '{{template "a"}}' + "{{end}}" * depth
    with pytest.raises(TemplateError):
        run(f'{{{{define "a"}}}}{body}{{{{end}}}}{{{{template "a"}}}}')


ATOMS = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{{-",
            "-}}",
            "{{- ",
            " -}}",
            "(",
            ")",
            "|",
            " ",
            "\n",
            "\t",
            ":=",
            "=",
            ",",
            "$",
            "$x",
            "$i, $e := ",
        ),
        *("/*", "*/", '"', "`", "'", "\\", ".", ".S", ".L", ".M", ".T", ".D", ".Items", ".M.a", ".Nope", ".Year"),
        *("if ", "else", "end", "range ", "with ", "define ", "template ", "block ", "break", "continue", '"a"', "nil"),
        *("1", "-1", "2.5", "0x", "1e9", "'a'", "true", '"%d%s%v%*[2]q"', '"%#v%+v%T%x"'),
        *(
            f"{name} "
            for name in ("and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js")
        ),
        *(
            f"{name} "
            for name in ("urlquery", "call", "eq", "ne", "lt", "json", "join", "split", "title", "pad", "truncate")
        ),
        *("{{.L}}", "{{range .L}}", "{{end}}", "{{else}}", "{{if .S}}", "{{.}}", "{{index .L 0}}", "é", "\0", "\ud800"),
    ]
)
WORDS = st.sampled_from(
    [
        *("and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "call"),
        *("eq", "ne", "lt", "le", "gt", "ge", "json", "join", "split", "lower", "upper", "title", "pad", "truncate"),
        *(".S", ".L", ".M", ".T", ".D", ".Items", ".Nil", ".Any", ".F", ".I", ".T.Format", ".T.Unix", ".D.Hex", "."),
        *("1", "-7", "2.5", '"%[3]*.[2]*[1]f|%-#+08.3q"', '"%U%c%x%e"', '"b"', "`2006 Z07:00`", "nil", "true", "'x'"),
        *("(", ")", "|", "| printf", "99999999999", "1e308", "$"),
    ]
)
RELAXED = settings(deadline=5000, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def only_template_errors(template: str) -> None:
    try:
        output = run(template)
    except TemplateError:
        return
    assert isinstance(output, str)


@RELAXED
@given(st.lists(ATOMS, max_size=40).map("".join))
def test_any_sequence_of_tokens_is_rendered_or_refused(template):
    only_template_errors(template)


@RELAXED
@given(st.lists(WORDS, min_size=1, max_size=6).map(" ".join))
def test_any_command_is_rendered_or_refused(words):
    only_template_errors("{{" + words + "}}")


@RELAXED
@given(st.text(st.characters(codec=None), max_size=60))
def test_any_text_is_rendered_or_refused(text):
    only_template_errors(text)
    only_template_errors("{{" + text + "}}")
    only_template_errors("{{printf " + "`" + text.replace("`", "") + "` .S 1 .T .L .Items nil 2.5}}")
    only_template_errors("{{.T.Format `" + text.replace("`", "") + "`}}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01 00:00:00 +1400 +1400"),
        ("9999-12-31T23:59:59.999999999-11:30", "9999-12-31 23:59:59.999999999 -1130 -1130"),
        ("2024-01-01T00:00:00.10Z", "2024-01-01 00:00:00.1 +0000 UTC"),
        ("2024-01-01T00:00:00.1234567891Z", "2024-01-01 00:00:00.123456789 +0000 UTC"),
    ],
)
def test_times_print_as_go_prints_them(text, shown):
    assert str(GoTime.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "2024-01-01", "2024-01-01t00:00:00Z", "2024-02-30T00:00:00Z", "٢024-01-01T00:00:00Z", "2024-01-01T24:00:00Z"],
)
def test_other_texts_are_no_times(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is free
        GoTime.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\n", "a           b\n"),
        ("a\tb\nlonger than that\tc\n", "a                 b\nlonger than that  c\n"),
        ("a\tb\nx\nlonger than that\tc", "a           b\nx\nlonger than that  c"),
        ("a\tb\tc\nd\te\n", "a           b           c\nd           e\n"),
        ("\t\n", "            \n"),
        ("", ""),
    ],
)
def test_tabs_become_columns(text, expected):
    assert align(text, Budget()) == expected
