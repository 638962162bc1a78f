"""The output of inspect, by its own rules and beside Skopeo's."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from typing import Any

import peers
import pytest

from transship.cli.gotemplate.errors import TemplateError
from transship.cli.gotemplate.values import GoStruct
from transship.cli.inspect_report import config_value, render, summary_value, to_json
from transship.errors import InvalidManifestError

PLACE = re.compile(r"(template: transship inspect:1:)(\d+)")
LAYERS = ["sha256:" + "a" * 64, "sha256:" + "b" * 64]
CONFIG: dict[str, Any] = {
    "created": "2024-01-02T03:04:05.123456789Z",
    "author": "Me <me@x>",
    "architecture": "arm64",
    "os": "linux",
    "variant": "v8",
    "os.version": "1.2",
    "os.features": ["f1"],
    "config": {
        "User": "u",
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Env": ["PATH=/bin", "A=b c"],
        "Entrypoint": ["/e"],
        "Cmd": ["sh", "-c"],
        "Volumes": {"/v": {}},
        "WorkingDir": "/w",
        "Labels": {"b": "2", "a": "<1>&", "org.x": "y", "n": "línea"},
        "StopSignal": "SIGTERM",
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "c" * 64, "sha256:" + "d" * 64]},
    "history": [
        {"created": "2024-01-01T00:00:00Z", "created_by": "x", "author": "a", "comment": "c"},
        {"created": "2024-01-01T02:00:00.5+02:00", "created_by": "ENV", "empty_layer": True},
        {"created_by": "none"},
    ],
}
BARE: dict[str, Any] = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}


def summary_of(config: dict[str, Any], digest: str = "sha256:" + "e" * 64) -> dict[str, Any]:
    inner = config.get("config", {})
    return {
        "Digest": digest,
        "RepoTags": [],
        "Created": config.get("created"),
        "DockerVersion": "",
        "Labels": inner.get("Labels"),
        "Architecture": config["architecture"],
        "Os": config["os"],
        "Layers": LAYERS,
        "LayersData": [
            {"MIMEType": "application/x", "Digest": LAYERS[0], "Size": 3, "Annotations": None},
            {"MIMEType": "application/x", "Digest": LAYERS[1], "Size": -1, "Annotations": {"b": "", "a": "<"}},
        ],
        "Env": inner.get("Env"),
    }


FULL = summary_value(summary_of(CONFIG) | {"Name": "h/r", "RepoTags": ["1", "2"]})
EMPTY = summary_value({"Digest": "sha256:" + "e" * 64, "RepoTags": []})


def test_default_json_of_the_summary_has_skopeos_order_and_indent():
    members = list(json.loads(render("json", FULL)))
    assert members == [
        *("Name", "Digest", "RepoTags", "Created", "DockerVersion", "Labels", "Architecture", "Os", "Layers"),
        *("LayersData", "Env"),
    ]
    assert render("json", FULL).startswith('{\n    "Name": "h/r",\n    "Digest"')
    assert render("json", FULL).endswith("\n}\n")


def test_what_an_image_does_not_say_is_null():
    assert json.loads(to_json(EMPTY)) == {
        **{"Digest": "sha256:" + "e" * 64, "RepoTags": [], "Created": None, "DockerVersion": "", "Labels": None},
        **{"Architecture": "", "Os": "", "Layers": None, "LayersData": None, "Env": None},
    }


@pytest.mark.parametrize("template", ["json", " json ", "{{json}}", "{{ json }}", "{{json.}}", "{{ json. }}", ""])
def test_spellings_of_the_default(template):
    assert render(template, FULL) == to_json(FULL, 4) + "\n"


def test_json_function_is_compact_and_escapes_no_html():
    assert render("{{json .Labels}}", FULL) == '{"a":"<1>&","b":"2","n":"línea","org.x":"y"}\n'
    assert json.loads(render("{{json .}}", FULL)) == json.loads(to_json(FULL))


def test_default_json_escapes_html_and_line_separators():
    value = summary_value({"Labels": {"k": '<&>\u2028\u2029\x7f\x01\n\t"\\'}})
    assert '"\\u003c\\u0026\\u003e\\u2028\\u2029\x7f\\u0001\\n\\t\\"\\\\"' in to_json(value)


def test_config_keys_are_in_the_order_of_the_image_specification():
    text = to_json(config_value(CONFIG))
    assert list(json.loads(text)) == [
        *("created", "author", "architecture", "os", "os.version", "os.features", "variant", "config"),
        *("rootfs", "history"),
    ]
    assert json.loads(text) == CONFIG


def test_empty_members_of_a_config_are_left_out():
    assert to_json(config_value({})) == ('{"architecture":"","os":"","config":{},"rootfs":{"type":"","diff_ids":null}}')


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.Platform}}", "{arm64 linux 1.2 [f1] v8}\n"),
        ("{{.Platform.OS}}/{{.Variant}}", "linux/v8\n"),
        ("{{.Config.ArgsEscaped}}", "false\n"),
        (
            "{{.}}",
            "{2024-01-02 03:04:05.123456789 +0000 UTC Me <me@x> {arm64 linux 1.2 [f1] v8} "
            "{u map[443/tcp:{} 80/tcp:{}] [PATH=/bin A=b c] [/e] [sh -c] map[/v:{}] /w "
            "map[a:<1>& b:2 n:línea org.x:y] SIGTERM false} "
            f"{{layers [sha256:{'c' * 64} sha256:{'d' * 64}]}} "
            "[{2024-01-01 00:00:00 +0000 UTC x a c false} "
            "{2024-01-01 02:00:00.5 +0200 +0200 ENV   true} {<nil> none   false}]}\n",
        ),
    ],
)
def test_config_fields_beyond_the_installed_skopeo(template, expected):
    assert render(template, config_value(CONFIG)) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "{{range .LayersData}}{{.MIMEType}} {{.Size}} {{.Annotations}};{{end}}",
            "application/x 3 map[];application/x -1 map[a:< b:];\n",
        ),
        ("{{(index .LayersData 0).Digest.Algorithm}}", "sha256\n"),
        ('{{join .RepoTags ","}}', "1,2\n"),
        ('{{range split "a,b" ","}}[{{.}}]{{end}}', "[a][b]\n"),
        ('{{lower "ÀB"}}{{upper "é"}}{{title "ab cd-ef"}}', "àbÉAb Cd-Ef\n"),
        ('[{{pad "x" 2 1}}][{{pad "" 2 1}}]', "[  x ][]\n"),
        ("{{truncate .Os 3}} {{truncate .Os 99}}", "lin linux\n"),
        ('{{truncate (printf "%s" .Digest) 10}}', "sha256:eee\n"),
        (r'{{printf "a\nb"}}', "a\nb"),
        (r"{{.Os}}\t|\n{{.Name}}", "linux\t|\nh/r\n"),
        ("{{.Os}}\n", "linux\n"),
        ("{{range .}}{{.Os}}{{end}}", "linux\n"),
        ("{{ range . }}{{.Os}}{{ end -}}", "linux"),
        ("{{range .RepoTags}}{{.}}\\n{{end}}", "1\n2\n\n"),
        ('{{define "x"}}[{{.}}]{{end}}{{range .}}{{template "x" .Os}}{{end}}', "[linux]\n"),
    ],
)
def test_rules_beyond_the_installed_skopeo(template, expected):
    assert render(template, FULL) == expected


def test_table_aligns_cells_and_prints_no_header():
    assert render("table {{.Os}} {{.Architecture}}\\t{{.Name}}", FULL) == "linux       arm64       h/r\n"
    assert render("table {{range .Layers}}{{slice . 0 10}} x\n{{end}}", FULL) == ("sha256:aaa  x\nsha256:bbb  x\n\n")


def test_unknown_field_is_named_with_its_position():
    with pytest.raises(TemplateError) as raised:
        render("{{.X}}", FULL)
    assert str(raised.value) == (
        'template: transship inspect:1:13: executing "transship inspect" at <.X>: '
        "can't evaluate field X in type interface {}"
    )


def test_typed_digest_is_no_string():
    with pytest.raises(TemplateError, match=r"wrong type for value; expected string; got digest\.Digest"):
        render("{{truncate .Digest 10}}", FULL)


@pytest.mark.parametrize(
    "config",
    [
        {"created": 5},
        {"created": "yesterday"},
        {"created": "2024-13-01T00:00:00Z"},
        {"created": "0000-01-01T00:00:00Z"},
        {"created": "2024-01-01T00:00:00+99:99"},
        {"os": []},
        {"config": []},
        {"config": {"Env": "x"}},
        {"config": {"Env": [1]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"ArgsEscaped": 1}},
        {"rootfs": {"diff_ids": {}}},
        {"history": [5]},
        {"history": {}},
    ],
)
def test_config_of_wrong_types_is_refused(config):
    with pytest.raises(InvalidManifestError):
        config_value(config)


@pytest.mark.parametrize("size", [True, "1", 1 << 63, 1.5])
def test_layer_size_of_wrong_type_is_refused(size):
    with pytest.raises(InvalidManifestError):
        summary_value({"LayersData": [{"Size": size}]})


def test_lone_surrogates_become_replacement_characters():
    value = summary_value({"Os": "a\ud800b", "Labels": {"\udfff": "\ud800"}})
    assert render("{{.Os}}{{.Labels}}\udc80", value) == "a\ufffdbmap[\ufffd:\ufffd]\ufffd\n"
    to_json(value).encode()


# Beside the real Skopeo. Its 1.9.3 has no LayersData, no json or string functions, no flush of tabs.

SUMMARY_TEMPLATES = r"""
{{.Digest}}
{{.Name}}@{{.Digest}}
{{.Created}}
{{.Architecture}} {{.Os}}
{{.RepoTags}} {{.Layers}} {{.Env}} {{.Labels}}
{{index .Labels "org.x"}} {{index .Labels "none"}}|{{.Labels.zz}}|{{.Labels.a}}
{{range .Env}}{{println .}}{{end}}
{{range .RepoTags}}{{.}}\n{{end}}
{{range .RepoTags}}x{{else}}none{{end}}
{{len .Layers}} {{len .Os}} {{len .Labels}} {{len .Labels.n}} {{len .RepoTags}}
a\nb
{{/* c */}}z
{{- "a" -}} b {{- /* c */ -}} d
{{.X}}
ab{{.X}}
{{range .Layers}}{{.X}}{{end}}
{{with .}}{{.X}}{{end}}
{{$.X}}
{{index .Layers 5}}
{{index .Layers 0}} {{(index .Layers 0)}} {{(index .Layers 1) | printf "%.9s"}}
{{foo}}
{{.Digest
{{end}}
{{if}}{{end}}
{{if .Os}}
{{$x}}
{{.Created.Date}}
{{.Created.X}}
{{.Digest.X}}
{{len 3}}
{{printf "%T %T %T %T %T" .Digest .Os .Layers .Labels .Created}}
{{printf "%d" .Digest}}
{{.Digest | printf "%.10s"}}
{{js .Labels}} {{html .Labels}} {{urlquery .Labels.a " ~+/é" 1}} {{js "a'\"=\\ é"}}
{{print 1 2 "a" "b" 3}} {{println 1 "a" 2}}
{{.Created.Month}} {{.Created.Weekday}} {{.Created.Year}} {{.Created.Day}} {{.Created.YearDay}} {{.Created.Unix}}
{{.Created.Hour}}:{{.Created.Minute}}:{{.Created.Second}}.{{.Created.Nanosecond}} {{.Created.UnixNano}}
{{.Created.Format "Mon Jan _2 15:04:05 MST 2006 .000 002 __2 03PM 3pm 06-1-2"}}
{{.Created.Format "Monday January 02 2006-01-02T15:04:05.999999Z07:00 -0700 -07:00 -07 Z0700 4 5 05.000000000"}}
{{.Created.Format "Janet Month 20061 5.99 05,00 x"}}
{{.Created.UTC}} {{.Created.IsZero}} {{.Created.String}} {{.Created.UTC.Year}}
{{.Digest.Algorithm}} {{.Digest.Encoded}} {{.Digest.Hex}} {{.Digest.String}}
{{eq .Os "linux"}} {{eq .Digest "x"}} {{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1 2}}
{{lt 1 2.0}}
{{eq 1 "a"}}
{{eq .Layers 1}}
{{lt true false}}
{{eq nil .Os}} {{eq true true}} {{eq 1.5 1.5}}
{{1.5}} {{1e3}} {{0x10}} {{0b11}} {{1_000}} {{'a'}} {{true}} {{-5}} {{010}} {{1e6}} {{1e20}} {{1234567.5}} {{0.00001}}
{{nil}}
{{.Os.X}}
{{.Os "x"}}
{{.Os.X "x"}}
{{1 2}}
{{"a" | 1}}
{{.Created.Format}}
{{.Created.Format 1}}
{{.Created.Year 1}}
{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}{{if true}}{{$x = 3}}{{end}}{{$x}}
{{range .Os}}{{end}}
{{range $x := 1}}{{end}}
{{range print .Os | printf "%s"}}{{end}}
{{range .Created.Month}}{{end}}
{{index nil}}
{{template "x"}}
{{define "x"}}D{{end}}
{{block "y" .Os}}B{{.}}{{$}}{{end}}
{{range $i, $e := .Layers}}{{$i}}{{if eq $i 0}}{{continue}}{{end}}{{$e}}{{end}}
{{range $i, $e := .Layers}}{{$i}}{{break}}{{end}}!
{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}
{{range $v := .Labels}}{{$v}};{{end}}
{{(.Created).Year}} {{(print "a" | print "b")}}
{{slice .Digest 0 10}} {{slice .Layers 1}} {{slice .Os 2}} {{slice .Os}} {{slice .Os 1 3}}
{{slice .Os 3 99}}
{{slice .Created 1}}
{{slice .Os 3 1}}
{{and 0 .X}} {{or .Os .X}} {{and 1 2}} {{or 0 ""}} {{not .Os}} {{not 0}}
{{or .X}}
{{call .Os}}
{{len .Os .Os}}
{{index .Labels 1}}
{{index .Os "a"}}
{{index .Os 0}} {{index 5}}
{{index 5 0}}
{{printf "%s|%v|%q" .Created .Created .Created}}
{{printf "%5d|%-5d|%05d|%x|%q|%8.3f|%t|%c|%U" 3 3 3 255 "a" 1.5 true 65 65}}
{{printf "%z %d" 3 "a"}} {{printf "%d"}} {{printf "%" }} {{printf "x" 1}} {{printf "100%%"}}
{{printf "%6.2f|%+d|%x|% x|%#x|%X|%q|%05s|%-6s|" 1.5 3 "hi" "hi" "hi" "hi" 65 "ab" "cd"}}
{{printf "%[2]d %[1]d" 1 2}} {{printf "%*d" 5 3}} {{printf "%[3]d" 1}} {{printf "%q" .Labels}}
{{printf "%#v %#v %#v" .Labels .Layers .Os}}
{{printf "%d" .Created.Month}} {{printf "%v %d %s" .Created.Weekday .Created.Weekday .Created.Weekday}}
{{printf "%s" 3}} {{printf "%d" .Layers}} {{printf "%t" 1}} {{printf "%s %v" nil nil}}
{{printf "%08.3f|%+.2e|%x|%g|%6.3v|%o|%b" 3.14159 12345.678 -255 0.1 3.14159 8 5}}
{{printf "%s" .Labels.zz}} {{print nil}} {{html .Labels.zz}}
{{printf 1}}
{{printf nil}}
{{if .Os}}a{{else}}b{{end}}{{if .Name}}a{{else if .Env}}c{{else}}b{{end}}{{with .Name}}x{{else}}y{{end}}
{{with $x := .Os}}{{$x}}{{.}}{{end}} {{with .Labels}}{{.a}}{{end}}
{{ .Os | len | printf "%d-%s" 3 }}
{{.Os}{{.Os}}
{{.Os!}}
{{"abc}}
{{`raw \n "x"`}}
{{ (1 }}
{{ ) }}
{{break}}
{{else}}
{{.Created | .Format}}
{{"2006" | .Created.Format}}
{{define "a"}}
{{/* x }}
{{/* x */ y}}
{{$.Os}}
{{.Os.Foo.Bar}}
{{true.X}}
{{.Labels.a.b}}
{{range $i, $j, $k := .Layers}}{{end}}
{{range $i, .Layers}}{{end}}
{{if $x := .Os}}{{end}}{{$x}}
{{$x = 3}}
{{print (index (slice .Env 1) 0) | html}}
{{and}}
{{not 1 2}}
{{printf "%v" .Env | printf "%s %s" "a"}}
""".strip("\n").split("\n")

CONFIG_TEMPLATES = r"""
{{.Config}} {{.Config.Cmd}} {{.RootFS}}
{{.History}}
{{range .History}}{{.Created}} {{.CreatedBy}} {{.EmptyLayer}};{{end}}
{{range .History}}{{if .Created}}{{.Created.Format "15:04 -0700 MST"}} {{.Created.UTC}}{{else}}never{{end}};{{end}}
{{.X}}
{{.Config.X}}
{{with .}}{{.X}}{{end}}
{{.OSVersion}} {{.OSFeatures}} {{.OS}} {{.Variant}} {{.Author}} {{.Architecture}}
{{.Config.ExposedPorts}} {{range $p, $_ := .Config.ExposedPorts}}{{$p}} {{end}}{{len .Config.Volumes}}
{{.Config.Labels.a}} {{index .Config.Labels "a"}} {{index .Config.ExposedPorts "none"}}
{{(index .RootFS.DiffIDs 0).Encoded}}
{{printf "%T %T %T %T %T" .Config .RootFS .History .RootFS.DiffIDs .Config.Volumes}}
{{printf "%+v" .RootFS}} {{printf "%#v" .RootFS}}
{{printf "%q" .Config.Env}} {{printf "%v %s" .Config.Env .Config.Env}}
{{.Config.Labels}} {{len .Config.Labels}} {{.Config.Labels.x}}
{{.Created}} {{println .Created}}
{{.Created.Year}}
{{.Created.Nope}}
{{if .Created}}yes{{else}}no{{end}}
{{printf "%v %s" .Created .Created}}
{{range .Config.Env}}{{.}},{{end}}
""".strip("\n").split("\n")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two images, as ``dir:`` folders, with their configs and digests."""
    made = {}
    for name, config in {"full": CONFIG, "bare": BARE}.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / "version").write_text("Directory Transport Version: 1.1\n")
        data = json.dumps(config).encode()
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                },
                "layers": [
                    {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 3}
                    for digest in LAYERS
                ],
            }
        ).encode()
        (folder / "manifest.json").write_bytes(manifest)
        made[name] = folder, config, "sha256:" + hashlib.sha256(manifest).hexdigest()
    return made


def skopeo(folder, *arguments: str) -> str:
    done = subprocess.run(
        [peers.SKOPEO, "inspect", *arguments, f"dir:{folder}"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    message = json.loads(re.search(r'msg=(".*")', done.stderr)[1])
    return "error: " + message.removeprefix(
        "Error writing OCI-formatted configuration data to standard output: "
    ).replace("skopeo inspect", "transship inspect")


def ours(template: str, value: GoStruct) -> str:
    """What we print, with columns as the installed version counts them: its first line begins one further right."""
    try:
        return render(template, value)
    except TemplateError as error:
        return "error: " + PLACE.sub(lambda match: f"{match[1]}{int(match[2]) + 1}", str(error))


@pytest.mark.interop
@pytest.mark.parametrize("template", SUMMARY_TEMPLATES)
def test_summary_renders_as_skopeo_renders_it(folders, template):
    folder, config, digest = folders["full"]
    assert ours(template, summary_value(summary_of(config, digest))) == skopeo(folder, "--format", template)


@pytest.mark.interop
@pytest.mark.parametrize("image", ["full", "bare"])
@pytest.mark.parametrize("template", CONFIG_TEMPLATES)
def test_config_renders_as_skopeo_renders_it(folders, image, template):
    folder, config, _ = folders[image]
    expected = skopeo(folder, "--config", "--format", template)
    assert ours(template, config_value(config)) == expected


@pytest.mark.interop
@pytest.mark.parametrize("image", ["full", "bare"])
def test_default_json_is_skopeos(folders, image):
    folder, config, digest = folders[image]
    summary = summary_of(config, digest)
    expected = json.loads(skopeo(folder))
    assert json.loads(render("json", summary_value(summary))) == expected | {"LayersData": summary["LayersData"]}
    assert json.loads(render("json", config_value(config))) == json.loads(skopeo(folder, "--config"))
