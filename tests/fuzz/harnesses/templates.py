"""Templates of ``inspect --format``."""

from __future__ import annotations

import json

from harnesses.target import Target, refusing
from transship.cli.gotemplate import columns, engine, evaluator  # noqa: F401 - imported late by what is fuzzed
from transship.cli.gotemplate.errors import TEXT_LIMIT, TemplateError
from transship.cli.gotemplate.functions import FUNCTIONS
from transship.cli.inspect_report import config_value, render, summary_value
from transship.testing.images import oci_image

_IMAGE = oci_image()
_VALUES = (
    config_value(json.loads(_IMAGE.config)),
    summary_value(
        {"Name": "example.org/a", "Digest": str(_IMAGE.digest), "RepoTags": ["1", "2"], "Labels": {"a": "b"}}
    ),
)


def _check(data: bytes) -> None:
    for value in _VALUES:
        with refusing(TemplateError):
            assert len(render(data.decode("utf-8", "replace"), value)) <= TEXT_LIMIT


_SEEDS = (
    "{{.Digest.Hex}} {{range $i, $t := .RepoTags}}{{if eq $i 1}}{{break}}{{else if $t}}{{continue}}{{end}}{{end}}",
    'table {{.Created.Format "Jan 2 2006 3:04PM"}}\\t{{.Os}}\\n{{json .Config}}',
    '{{define "x"}}[{{.}}]{{end}}{{range .}}{{template "x" .History}}{{len .RootFS.DiffIDs}}{{end}}',
    '{{range .}}{{json .Config}}{{.OS}}{{end}}{{block "b" 1}}{{printf "%x" .}}{{end}}',
    '{{with $x := index .RepoTags 0}}{{$x = printf "%-5.2s|%+v|%q|%#x|%[1]*d" $x 1 "é" 255}}{{- $x -}}{{end}}',
    "{{/* note */}}{{\"\\x41\\u00e9\" | lower | html | urlquery}}{{'a'}}{{0x1F}}{{1e2}}{{`raw`}}{{(slice .Name 1 2)}}",
    "{{.Labels.a}}{{and .Env (not .Tag) | or nil}}{{lt 1 2}}{{pad .Name 1 2}}{{truncate .Name 3}}",
)
_WORDS = (
    *(name.encode() + b" " for name in FUNCTIONS),
    *(
        b"." + name
        for name in b"Name Created Config History RootFS DiffIDs Labels Env Layers Digest Hex Format".split()
    ),
    *(b"{{", b"}}", b"{{-", b"-}}", b"{{end}}", b"{{else}}", b"{{range ", b"{{if ", b"{{with ", b'{{define "x"}}'),
    *(
        b'{{template "x" .}}',
        b'{{block "x" .}}',
        b"{{break}}",
        b"{{continue}}",
        b"table ",
        b"\\t",
        b"\\n",
        b"/*",
        b"*/",
    ),
    *(
        b"|",
        b":=",
        b"=",
        b"$",
        b"$x",
        b"(",
        b")",
        b"nil",
        b"true",
        b'"%v"',
        b'"%T"',
        b'"%*d"',
        b'"%[2]d"',
        b"'\\''",
        b"`",
    ),
    *(b"9223372036854775807", b"-1", b"0x", b"1e999", b"1_000", b"'", b'"'),
)

TARGETS = (Target("template", _check, [seed.encode() for seed in _SEEDS], _WORDS),)
