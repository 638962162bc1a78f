"""Flags are read as Go's pflag reads them."""

from __future__ import annotations

import click
import pytest

from transship.cli.flags import DURATION, GO_INT, Flag, FlagParser, UsageError, Value, split_list


def _parse(*args: str) -> dict:
    params = [
        Flag("--quiet", "-q"),
        Flag("--all", "-a"),
        Flag("--tls-verify", default=None),
        Value("--format", "-f", default=""),
        Value("--tag", multiple=True),
        Value("--times", "-t", type=GO_INT, default=0),
        Value("--delay", type=DURATION, default=0.0),
        click.Argument(["arguments"], nargs=-1),
    ]
    values, _ = FlagParser(params).parse_args(list(args))
    return values


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("a b", {"arguments": ("a", "b")}),
        ("--quiet a b", {"quiet": True, "arguments": ("a", "b")}),
        ("a --quiet b", {"quiet": True, "arguments": ("a", "b")}),
        ("a b -q", {"quiet": True, "arguments": ("a", "b")}),
        ("--quiet=true", {"quiet": True, "arguments": ()}),
        ("--quiet=false", {"quiet": False, "arguments": ()}),
        ("--quiet=0", {"quiet": False, "arguments": ()}),
        ("--quiet=T", {"quiet": True, "arguments": ()}),
        ("--tls-verify false", {"tls_verify": True, "arguments": ("false",)}),
        ("--quiet --quiet=false", {"quiet": False, "arguments": ()}),
        ("-qa", {"quiet": True, "all": True, "arguments": ()}),
        ("-qaf oci", {"quiet": True, "all": True, "format": "oci", "arguments": ()}),
        ("-qfoci", {"quiet": True, "format": "oci", "arguments": ()}),
        ("-qf=oci", {"quiet": True, "format": "oci", "arguments": ()}),
        ("-q=false", {"quiet": False, "arguments": ()}),
        ("-f -q", {"format": "-q", "arguments": ()}),
        ("-fq", {"format": "q", "arguments": ()}),
        ("-f=", {"format": "=", "arguments": ()}),
        ("--format oci", {"format": "oci", "arguments": ()}),
        ("--format=oci", {"format": "oci", "arguments": ()}),
        ("--format=", {"format": "", "arguments": ()}),
        ("--format=a=b", {"format": "a=b", "arguments": ()}),
        ("--format --quiet", {"format": "--quiet", "arguments": ()}),
        ("--format -- a", {"format": "--", "arguments": ("a",)}),
        ("--format a --format b", {"format": "b", "arguments": ()}),
        ("--tag a --tag b,c", {"tag": ["a", "b,c"], "arguments": ()}),
        ("-- --quiet -f", {"arguments": ("--quiet", "-f")}),
        ("a -- -q b", {"arguments": ("a", "-q", "b")}),
        ("- a", {"arguments": ("-", "a")}),
        ("-t5", {"times": 5, "arguments": ()}),
        ("--times -5", {"times": -5, "arguments": ()}),
        ("--times=0x1F", {"times": 31, "arguments": ()}),
        ("--times=010", {"times": 8, "arguments": ()}),
        ("--times=0o17", {"times": 15, "arguments": ()}),
        ("--times=-0b101", {"times": -5, "arguments": ()}),
        ("--times=1_000", {"times": 1000, "arguments": ()}),
        ("--times=+0", {"times": 0, "arguments": ()}),
        ("--times=9223372036854775807", {"times": 9223372036854775807, "arguments": ()}),
    ],
)
def test_command_line_is_read(args, expected):
    assert _parse(*args.split()) == expected


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--nope", "unknown flag: --nope"),
        ("--nope=x", "unknown flag: --nope"),
        ("--quie", "unknown flag: --quie"),
        ("-x", "unknown shorthand flag: 'x' in -x"),
        ("-qx", "unknown shorthand flag: 'x' in -x"),
        ("-q=", "unknown shorthand flag: '=' in -="),
        ("-quiet", "unknown shorthand flag: 'u' in -uiet"),
        ("--format", "flag needs an argument: --format"),
        ("-f", "flag needs an argument: 'f' in -f"),
        ("-qf", "flag needs an argument: 'f' in -f"),
        ("---x", "bad flag syntax: ---x"),
        ("--=x", "bad flag syntax: --=x"),
        ("--quiet=maybe", 'invalid argument "maybe" for "-q, --quiet" flag: strconv.ParseBool'),
        ("--quiet=", 'invalid argument "" for "-q, --quiet" flag'),
        ("--times x", 'invalid argument "x" for "-t, --times" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        ("--times 1.5", "invalid syntax"),
        ("--times 08", "invalid syntax"),
        ("--times 1__0", "invalid syntax"),
        ("--times 9223372036854775808", "value out of range"),
        ("--times " + "9" * 10_000, "value out of range"),
        ("--times \u0661", "invalid syntax"),
        ("--delay 5", 'time: missing unit in duration "5"'),
        ("--delay 1h5", "missing unit"),
        ("--delay 5x", 'unknown unit "x" in duration "5x"'),
        ("--delay s", "invalid duration"),
        ("--delay .", "invalid duration"),
        ("--delay 1,5s", "duration"),
        ("--delay \u0661s", "invalid duration"),
        ("--delay=", "invalid duration"),
    ],
)
def test_mistake_is_told_in_pflags_words(args, message):
    with pytest.raises(UsageError) as caught:
        _parse(*args.split())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("300ms", 0.3),
        ("1.5h", 5400),
        ("2m30s", 150),
        (".5s", 0.5),
        ("1.s", 1),
        ("+5s", 5),
        ("-5s", -5),
        ("100ns", 1e-7),
        ("7us", 7e-6),
        ("7µs", 7e-6),
        ("7μs", 7e-6),
        ("1h1m1s1ms", 3661.001),
        ("99999999h", 99999999 * 3600),
    ],
)
def test_durations_are_gos(text, seconds):
    assert _parse(f"--delay={text}")["delay"] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        (["a"], ["a"]),
        (["a,b", "c"], ["a", "b", "c"]),
        (['"a,b",c'], ["a,b", "c"]),
        ([""], []),
        (["a,"], ["a", ""]),
    ],
)
def test_lists_are_split_as_csv(values, expected):
    assert split_list(values) == expected


@pytest.mark.parametrize("value", ['"a', '"a"b"'])
def test_list_that_is_no_csv_is_refused(value):
    with pytest.raises(UsageError, match="invalid list"):
        split_list([value])
