"""policy.json is read strictly: no mistake in it may mean "accept"."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.discovery import PluginManager
from transship.errors import PolicyError
from transship.plugin.transport import Reference
from transship.policy.document import ACCEPT_ALL, Policy, parse_policy

ACCEPT = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]


WORDS = ["default", "transports", "type", "insecureAcceptAnything", "reject", "signedBy", "signedBaseLayer", "oci", ""]


def _objects(values):
    return st.dictionaries(st.sampled_from(WORDS) | st.text(), values | st.sampled_from(WORDS))


def _parsed(document: object) -> Policy:
    return parse_policy(json.dumps(document).encode(), "test.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "1",
        '"reject"',
        "{}",
        '{"default": null}',
        '{"default": []}',
        '{"default": {}}',
        '{"default": 1}',
        '{"default": true}',
        '{"default": "insecureAcceptAnything"}',
        '{"default": {"type": "insecureAcceptAnything"}}',
        '{"default": [null]}',
        '{"default": ["insecureAcceptAnything"]}',
        '{"default": [[]]}',
        '{"default": [{}]}',
        '{"default": [{"type": null}]}',
        '{"default": [{"type": 1}]}',
        '{"default": [{"type": ["insecureAcceptAnything"]}]}',
        '{"default": [{"type": {}}]}',
        '{"default": [{"type": ""}]}',
        '{"default": [{"type": "accept"}]}',
        '{"default": [{"type": "InsecureAcceptAnything"}]}',
        '{"default": [{"Type": "insecureAcceptAnything"}]}',
        '{"default": [{"type": "insecureAcceptAnything", "keyPath": "x"}]}',
        '{"default": [{"type": "reject", "type": "insecureAcceptAnything"}]}',
        '{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}',
        '{"default": [{"type": "reject"}], "Transports": {}}',
        '{"default": [{"type": "reject"}], "comment": "x"}',
        '{"default": [{"type": "reject"}], "transports": null}',
        '{"default": [{"type": "reject"}], "transports": []}',
        '{"default": [{"type": "reject"}], "transports": {"oci": null}}',
        '{"default": [{"type": "reject"}], "transports": {"oci": []}}',
        '{"default": [{"type": "reject"}], "transports": {"oci": {"": []}}}',
        '{"default": [{"type": "reject"}], "transports": {"oci": {"": null}}}',
        '{"default": [{"type": "reject"}], "transports": {"oci": {"": [{"type": "x"}]}}}',
        '{"default": [{"type": "reject"}], "transports": {"oci": {"/a": [], "/b": [{"type": "reject"}]}}}',
        '{"default": [{"type": "reject"}], "transports": {"oci": {}, "oci": {}}}',
        '{"default": [{"type": "reject"}]} trailing',
        '{"default": [{"type": "reject"}]}{}',
        '{"default": [{"type": "reject"}],}',
        '{"default": NaN}',
        "\ufeff{}",
        "[" * 100_000,
        '{"default":' + '{"a":' * 50_000,
        '{"default": [{"type": "\\ud800"}]}',
        '{"default": ' + "9" * 10_000 + "}",
        '{"default": [{"type": "signedBaseLayer"}]}',
        '{"default": [{"type": "signedBaseLayer", "baseLayerIdentity": null}]}',
        '{"default": [{"type": "signedBaseLayer", "baseLayerIdentity": {}}]}',
        '{"default": [{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "x"}}]}',
        '{"default": [{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}, "more": 1}]}',
        '{"default": [{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact", "more": 1}}]}',
        '{"default": [{"type": "signedby"}]}',
        '{"default": [{"type": "signedBy "}]}',
    ],
)
def test_anything_unexpected_is_refused_in_one_line_that_names_the_file(text):
    with pytest.raises(PolicyError, match=r"test\.json") as caught:
        parse_policy(text.encode(), "test.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff{}", b"\0", b'{"default": [{"type": "\xff"}]}', b" " * (5 << 20)])
def test_bytes_that_are_no_text_are_refused(data):
    with pytest.raises(PolicyError):
        parse_policy(data, "test.json")


def test_place_of_the_mistake_is_named():
    with pytest.raises(PolicyError, match=r"'oci' '/a' \[1\]"):
        _parsed({"default": REJECT, "transports": {"oci": {"/a": [*ACCEPT, {"type": "typo"}]}}})


@settings(deadline=None)
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | _objects(inner))
)
def test_whatever_it_is_it_is_read_or_refused(document):
    with contextlib.suppress(PolicyError):
        policy = _parsed(document)
        assert all(policy.scope_of(Reference(transport=name, text=""))[1] for name in ("oci", "dir", "docker"))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(data):
    with contextlib.suppress(PolicyError):
        parse_policy(data, "test.json")


COMPLETE = {
    "default": [{"type": "reject"}],
    "transports": {
        "docker": {
            "example.com": [
                {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "a"},
                {
                    "type": "sigstoreSigned",
                    "fulcio": {"caData": "YQ==", "oidcIssuer": "b", "subjectEmail": "c"},
                    "rekorPublicKeyData": "YQ==",
                    "signedIdentity": {"type": "remapIdentity", "prefix": "d.e", "signedPrefix": "f.g"},
                },
            ],
            "": [
                {
                    "type": "sigstoreSigned",
                    "pki": {"caRootsData": "YQ==", "subjectEmail": "c"},
                    "signedIdentity": {"type": "exactReference", "dockerReference": "h.i/j:k"},
                },
                {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchRepository"}},
            ],
        }
    },
}
OBJECTS = json.dumps(COMPLETE).count("{")
FREE_NAMES = ("docker", "example.com", "")


@pytest.fixture(scope="module")
def manager():
    return PluginManager()


def _with_every_object(change):
    """The text of ``COMPLETE``, its objects written as ``change`` says of the number and the members of each."""
    numbers = itertools.count()

    def written(value):
        if isinstance(value, list):
            return f"[{','.join(map(written, value))}]"
        if not isinstance(value, dict):
            return json.dumps(value)
        members = change(next(numbers), list(value.items()))
        return f"{{{','.join(f'{json.dumps(name)}:{written(member)}' for name, member in members)}}}"

    return written(COMPLETE).encode()


@pytest.mark.uses("openpgp", "sigstore")
def test_complete_policy_is_read(manager):
    data = _with_every_object(lambda number, members: members)
    assert len(parse_policy(data, "test.json", manager).transports["docker"]) == len(FREE_NAMES) - 1


@pytest.mark.uses("openpgp", "sigstore")
@settings(deadline=None)
@given(
    st.integers(0, OBJECTS - 1), st.text() | st.sampled_from(WORDS), st.none() | st.integers() | st.text(), st.data()
)
def test_no_object_takes_another_member(manager, chosen, name, value, data):
    def change(number, members):
        position = data.draw(st.integers(0, len(members))) if number == chosen else None
        return members if position is None else [*members[:position], (name, value), *members[position:]]

    with pytest.raises(PolicyError):
        parse_policy(_with_every_object(change), "test.json", manager)


@pytest.mark.uses("openpgp", "sigstore")
@settings(deadline=None)
@given(st.integers(0, OBJECTS - 1), st.sampled_from([str.upper, str.title, " {}".format, "{} ".format, "{}\0".format]))
def test_no_member_has_a_second_spelling(manager, chosen, spell):
    def change(number, members):
        (name, value), *others = members
        return [(spell(name) if number == chosen and name not in FREE_NAMES else name, value), *others]

    text = _with_every_object(change)
    if text != _with_every_object(lambda number, members: members):
        with pytest.raises(PolicyError):
            parse_policy(text, "test.json", manager)


@settings(deadline=None)
@given(st.integers(0, OBJECTS - 1), st.data())
def test_no_member_may_come_twice(manager, chosen, data):
    def change(number, members):
        return [*members, data.draw(st.sampled_from(members))] if number == chosen else members

    with pytest.raises(PolicyError, match="duplicate"):
        parse_policy(_with_every_object(change), "test.json", manager)


def test_missing_default_is_told():
    with pytest.raises(PolicyError, match="Default policy is missing"):
        _parsed({"transports": {}})


@pytest.mark.parametrize("kind", ["signedBy", "sigstoreSigned"])
def test_requirement_of_a_plugin_that_is_not_there_is_kept(kind):
    assert _parsed({"default": [{"type": kind, "keyType": "GPGKeys"}]}).default[0].type == kind


def test_origin_is_kept():
    assert _parsed({"default": REJECT}).origin == "test.json"


POLICY = _parsed(
    {
        "default": [{"type": "signedBy"}],
        "transports": {
            "oci": {
                "/srv/images/app": ACCEPT,
                "/srv/images": REJECT,
                "": [{"type": "sigstoreSigned"}],
            },
            "dir": {"/only": ACCEPT},
        },
    }
)


@pytest.mark.parametrize(
    ("transport", "identity", "namespaces", "expected"),
    [
        ("oci", "/srv/images/app", ("/srv/images/app", "/srv/images", "/srv"), "insecureAcceptAnything"),
        ("oci", "/srv/images/other", ("/srv/images/other", "/srv/images", "/srv"), "reject"),
        ("oci", "/srv/imagesque", ("/srv/imagesque", "/srv"), "sigstoreSigned"),
        ("oci", "", (), "sigstoreSigned"),
        ("dir", "/only", ("/only",), "insecureAcceptAnything"),
        ("dir", "/else", ("/else",), "signedBy"),
        ("docker-archive", "", (), "signedBy"),
    ],
)
def test_most_specific_scope_counts_and_nothing_is_inherited(transport, identity, namespaces, expected):
    reference = Reference(transport=transport, text="", policy_identity=identity, policy_namespaces=namespaces)
    scope, requirements = POLICY.scope_of(reference)
    assert [requirement.type for requirement in requirements] == [expected]
    assert scope.transport in ("", transport)


@pytest.mark.parametrize(
    ("identity", "namespaces", "told"),
    [
        ("/srv/images/app", ("/srv/images/app", "/srv/images"), 'oci "/srv/images/app"'),
        ("/srv/images/b", ("/srv/images/b", "/srv/images"), 'oci "/srv/images"'),
        ("/else", ("/else",), 'oci ""'),
    ],
)
def test_scope_that_applies_is_told(identity, namespaces, told):
    reference = Reference(transport="oci", text="", policy_identity=identity, policy_namespaces=namespaces)
    assert str(POLICY.scope_of(reference)[0]) == told


def test_default_that_applies_is_told():
    assert str(POLICY.scope_of(Reference(transport="dir", text=""))[0]) == "default"


@pytest.mark.parametrize(
    ("identity", "namespaces"),
    [
        (None, ()),
        (Path("/srv/images/app"), ()),
        (b"/srv/images/app", ()),
        ("/srv/images/app", "/srv/images"),
        ("/srv/images/app", ["/srv/images"]),
        ("/srv/images/app", None),
        ("/srv/images/app", (Path("/srv/images"),)),
        ("/srv/images/app", iter(["/srv/images"])),
        ("/srv/images/app", ("", "/srv/images")),
        ("/srv/images/app", ("/srv/images", "")),
        ("", ("/srv/images",)),
    ],
)
def test_scopes_that_a_transport_gets_wrong_lead_to_no_broader_one(identity, namespaces):
    reference = Reference(transport="oci", text="app", policy_identity=identity, policy_namespaces=namespaces)
    for policy in (POLICY, ACCEPT_ALL):
        with pytest.raises(PolicyError, match="oci:app"):
            policy.scope_of(reference)


@pytest.mark.parametrize(
    "identity", ["*", " ", "/srv/images/", "/srv/images/app ", "/SRV/images/app", "srv/images/app"]
)
def test_scopes_are_compared_as_they_are(identity):
    """No character has a meaning, and nothing is left out: what may be in a scope only its transport knows."""
    reference = Reference(transport="oci", text="", policy_identity=identity)
    assert str(POLICY.scope_of(reference)[0]) == 'oci ""'
    exact = _parsed({"default": REJECT, "transports": {"oci": {identity: ACCEPT}}})
    assert exact.scope_of(reference)[0].name == identity
    assert str(exact.scope_of(Reference(transport="oci", text="", policy_identity="/a"))[0]) == "default"


def test_all_requirements_of_a_scope_are_there():
    policy = _parsed({"default": [*ACCEPT, *REJECT]})
    assert [requirement.type for requirement in policy.default] == ["insecureAcceptAnything", "reject"]


def test_insecure_policy_accepts_anything():
    reference = Reference(transport="any", text="")
    assert [requirement.type for requirement in ACCEPT_ALL.scope_of(reference)[1]] == ["insecureAcceptAnything"]
