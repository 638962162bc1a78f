"""policy.json is read strictly: no mistake in it may mean "accept"."""

from __future__ import annotations

import json

import pytest

from transship.errors import PolicyError
from transship.plugin.transport import Reference
from transship.policy.document import ACCEPT_ALL, Policy, parse_policy

ACCEPT = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]


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


def test_missing_default_is_told():
    with pytest.raises(PolicyError, match="Default policy is missing"):
        _parsed({"transports": {}})


@pytest.mark.parametrize("kind", ["signedBy", "sigstoreSigned", "signedBaseLayer"])
def test_requirements_of_signatures_are_kept(kind):
    policy = _parsed({"default": [{"type": kind, "keyType": "GPGKeys"}]})
    assert policy.default[0].type == kind
    assert policy.default[0].members == {"keyType": "GPGKeys"}


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
    assert [requirement.type for requirement in POLICY.requirements_for(reference)] == [expected]


def test_all_requirements_of_a_scope_are_there():
    policy = _parsed({"default": [*ACCEPT, *REJECT]})
    assert [requirement.type for requirement in policy.default] == ["insecureAcceptAnything", "reject"]


def test_insecure_policy_accepts_anything():
    reference = Reference(transport="any", text="")
    assert [requirement.type for requirement in ACCEPT_ALL.requirements_for(reference)] == ["insecureAcceptAnything"]
