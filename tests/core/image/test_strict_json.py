from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import InvalidManifestError
from transship.image.strict_json import dump_json, dump_raw_members, load_json, load_json_object, raw_members


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":1,"a":2}', id="duplicate"),
        pytest.param(b'{"a":{"b":1,"b":2}}', id="duplicate inside"),
        pytest.param(b"{} {}", id="trailing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate in UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="deep objects"),
        pytest.param(b"1" * 5000, id="absurd integer"),
        pytest.param(b"1e999", id="infinite"),
        pytest.param(b"NaN", id="nan"),
        pytest.param(b"[-Infinity]", id="infinity"),
        pytest.param(b" " * (5 << 20), id="too long"),
    ],
)
def test_absurd_json_is_one_line(data):
    with pytest.raises(InvalidManifestError) as caught:
        load_json(data, "thing")
    assert str(caught.value).startswith("thing: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_an_object_is_asked_for():
    with pytest.raises(InvalidManifestError):
        load_json_object(b"[]", "thing")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d\ude00"', "😀"),
        (r'"\ud83d"', "�"),
        (r'"\ude00\ud83d"', "��"),
        (r'"\\ud83d"', r"\ud83d"),
        (r'{"\udfff":1}', {"�": 1}),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(text, value):
    assert load_json(text.encode(), "thing") == value


def test_written_json_is_escaped_as_go_does():
    assert dump_json({"b": '<>&\u2028\u2029é\x7f"\\/\n\ud800'}) == (
        '{"b":"\\u003c\\u003e\\u0026\\u2028\\u2029é\x7f\\"\\\\/\\n�"}'.encode()
    )


def test_raw_members_keep_numbers_and_escapes_as_written():
    data = b'{ "b" : [ 1.50e3 , "\\u00e9\\/ \\" x" ] ,\n"a<":\t{ } }'
    assert dump_raw_members(raw_members(data, "thing")) == (b'{"a\\u003c":{},"b":[1.50e3,"\\u00e9\\/ \\" x"]}')


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), _JSON, max_size=5), st.sampled_from([None, 1, "\t"]))
def test_raw_members_mean_the_same(value, indent):
    data = json.dumps(value, indent=indent).encode()
    assert load_json(dump_raw_members(raw_members(data, "thing")), "thing") == value
