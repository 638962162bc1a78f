"""The verdict of a policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from transship.discovery import PluginManager
from transship.errors import InvalidReferenceError, PolicyError, PolicyRejectedError, TransportError
from transship.plugin.mechanism import Requirement, RequirementVerdict, SignatureVerdict, UntrustedImage
from transship.plugin.transport import Reference, Transport
from transship.policy.document import ACCEPT_ALL, Policy, Scope
from transship.policy.evaluation import judge, require_accepted, require_scopes_of, require_valid_scopes
from transship.policy.requirements import AcceptAnything, Reject, SignedBaseLayer, Unchecked

IMAGE = UntrustedImage(Reference(transport="oci", text="image", policy_identity="/image"), b"{}", "")


class Fixed(Requirement):
    """Says what it was told to say."""

    type = "fixed"

    def __init__(self, answer, *, verifies: bool = False) -> None:
        self._answer = answer
        self.verifies_signatures = verifies

    def evaluate(self, image):
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


YES = Fixed(RequirementVerdict("fixed", accepted=True))
SIGNED = Fixed(RequirementVerdict("fixed", accepted=True), verifies=True)


def _judged(*requirements, **settings):
    return judge(Policy(requirements, {}), IMAGE, **settings)


def test_accepting_policy_accepts():
    verdict = judge(ACCEPT_ALL, IMAGE)
    assert (verdict.accepted, verdict.scope, verdict.reason) == (True, Scope(), "")
    require_accepted(verdict)


@pytest.mark.parametrize(
    "requirements",
    [
        [Reject()],
        [AcceptAnything(), Reject()],
        [Reject(), AcceptAnything()],
        [Unchecked("signedBy")],
        [AcceptAnything(), Unchecked("sigstoreSigned")],
        [SignedBaseLayer(), YES],
        [YES, YES, Reject(), YES],
        [],
    ],
)
def test_every_requirement_must_accept(requirements):
    verdict = _judged(*requirements)
    assert not verdict.accepted
    with pytest.raises(PolicyRejectedError):
        require_accepted(verdict)


def test_first_refusal_is_the_reason_and_all_verdicts_are_told():
    verdict = _judged(YES, Unchecked("signedBy"), Reject())
    assert "transship-openpgp" in verdict.reason
    assert [each.accepted for each in verdict.requirements] == [True, False, False]


@dataclass(frozen=True)
class LooksLikeVerdict:
    """Has all that a verdict has."""

    type: str = "fixed"
    accepted: bool = True
    reason: str = ""
    signatures: tuple = ()


@pytest.mark.parametrize(
    "answer",
    [None, True, 1, "yes", RequirementVerdict, RequirementVerdict("fixed", accepted="no"), LooksLikeVerdict()],
)
def test_what_is_no_verdict_refuses(answer):
    assert not _judged(Fixed(answer)).accepted


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("x\ny"), "ValueError: x y"),
        (OSError(13, "Permission denied", "/key"), "/key: permission denied"),
        (OSError(13, "Permission denied"), "permission denied"),
        (OSError("odd"), "OSError: odd"),
        (TransportError("gone"), "gone"),
    ],
)
def test_error_refuses_in_one_line_and_is_the_cause(error, reason):
    verdict = _judged(Fixed(error))
    assert (verdict.accepted, verdict.reason) == (False, reason)
    with pytest.raises(PolicyRejectedError) as caught:
        require_accepted(verdict)
    assert caught.value.__cause__ is error


def test_interruption_is_no_refusal():
    with pytest.raises(KeyboardInterrupt):
        _judged(Fixed(KeyboardInterrupt()))


def test_texts_of_strangers_stay_on_one_line_and_are_bounded():
    signature = SignatureVerdict("x", accepted=False, reason="a\nb\u2028c", signer="d\r\ne", identity="f" * 100_000)
    verdict = _judged(Fixed(RequirementVerdict("fixed", accepted=False, reason="g\nh", signatures=(signature,))))
    (told,) = verdict.requirements[0].signatures
    assert (verdict.reason, told.reason, told.signer) == ("g h", "a b c", "d e")
    assert len(told.identity) < 5_000


@pytest.mark.parametrize(
    ("requirements", "accepted"),
    [
        ([AcceptAnything()], False),
        ([YES], False),
        ([SIGNED], True),
        ([AcceptAnything(), SIGNED], True),
        ([SIGNED, Reject()], False),
        ([Reject()], False),
    ],
)
def test_demand_for_signatures_is_met_only_by_what_verifies_them(requirements, accepted):
    assert _judged(*requirements, require_signed=True).accepted is accepted


def test_unmet_demand_for_signatures_is_told_in_skopeos_words():
    reason = _judged(AcceptAnything(), require_signed=True).reason
    assert reason == "No signature verification policy found for image oci:/image"


def test_scope_that_applied_is_told():
    policy = Policy((Reject(),), {"oci": {"/image": (AcceptAnything(),)}})
    verdict = judge(policy, IMAGE)
    assert (verdict.accepted, str(verdict.scope)) == (True, 'oci "/image"')


@pytest.mark.uses("oci")
@pytest.mark.parametrize("scope", ["relative", "/", "/a/../b", "/a/"])
def test_scope_that_can_never_match_is_refused(scope):
    policy = Policy((AcceptAnything(),), {"oci": {scope: (Reject(),)}})
    with pytest.raises(PolicyError, match="oci"):
        require_valid_scopes(policy, PluginManager().transport("oci"))


@pytest.mark.uses("oci")
@pytest.mark.parametrize("scope", ["", "/a", "/a/b"])
def test_scope_that_can_match_is_accepted(scope):
    policy = Policy((), {"oci": {scope: ()}, "elsewhere": {"relative": ()}})
    require_valid_scopes(policy, PluginManager().transport("oci"))


class Shelf(Transport):
    """Its scopes begin with a slash, and do not end with one."""

    name = "shelf"

    def validate_policy_scope(self, scope):
        if not scope.startswith("/") or scope.endswith("/"):
            raise InvalidReferenceError(f"no place is {scope}")


RULES = {"shelf": {"/a/b": (Reject(),), "": (AcceptAnything(),)}}


@pytest.mark.parametrize("scopes", [("a/b",), ("/a/b/",), ("*",), (" ",), ("/a/b/c", "/a/b/", "/a")])
def test_image_that_no_rule_could_be_made_for_is_refused_where_there_are_rules(scopes):
    reference = Reference(transport="shelf", text="x", policy_identity=scopes[0], policy_namespaces=scopes[1:])
    with pytest.raises(PolicyError, match="shelf:x"):
        require_scopes_of(reference, Policy((AcceptAnything(),), RULES), Shelf())


@pytest.mark.parametrize("rules", [{}, {"shelf": {"": (AcceptAnything(),)}}, {"oci": RULES["shelf"]}])
def test_what_is_said_of_all_images_of_a_transport_holds_for_each(rules):
    reference = Reference(transport="shelf", text="x", policy_identity="a/b")
    require_scopes_of(reference, Policy((Reject(),), rules), Shelf())


@pytest.mark.parametrize("scopes", [("/a/b",), ("/a/b/c", "/a/b"), ("/c", "/a", "/a"), ("",)])
def test_image_that_a_rule_could_be_made_for_is_judged(scopes):
    reference = Reference(transport="shelf", text="x", policy_identity=scopes[0], policy_namespaces=scopes[1:])
    require_scopes_of(reference, Policy((Reject(),), RULES), Shelf())


@pytest.mark.parametrize("policy", [ACCEPT_ALL, Policy((AcceptAnything(),), RULES)])
def test_transport_cannot_pass_its_images_for_those_of_another_one(policy):
    reference = Reference(transport="docker", text="x", policy_identity="/c")
    with pytest.raises(PolicyError, match="docker:x"):
        require_scopes_of(reference, policy, Shelf())


@pytest.mark.parametrize("policy", [ACCEPT_ALL, Policy((AcceptAnything(),), RULES)])
def test_scopes_that_are_none_are_refused_before_anything_is_read(policy):
    reference = Reference(transport="shelf", text="x", policy_identity=Path("/a/b"))
    with pytest.raises(PolicyError, match="shelf:x"):
        require_scopes_of(reference, policy, Shelf())


REGISTRY_SCOPES = (
    "registry.example.com:5000/team/app:1.0",
    "registry.example.com:5000/team/app",
    "registry.example.com:5000/team",
    "registry.example.com:5000",
    "*.example.com",
    "*.com",
    "",
)


@pytest.mark.uses("docker")
@pytest.mark.parametrize("position", range(len(REGISTRY_SCOPES)))
def test_scopes_of_a_registry_go_from_the_tag_to_the_transport(position):
    """The narrowest that is there applies, whatever broader ones say."""
    _, reference = PluginManager().parse_reference("docker://registry.example.com:5000/team/app:1.0")
    there = REGISTRY_SCOPES[position:]
    policy = Policy((), {"docker": {scope: (AcceptAnything() if scope == there[0] else Reject(),) for scope in there}})
    scope, (requirement,) = policy.scope_of(reference)
    assert (scope.name, type(requirement)) == (there[0], AcceptAnything)


@pytest.mark.uses("docker")
@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("docker://registry.example.com/team/app:1.0", "registry.example.com/team/app:2.0"),
        ("docker://registry.example.com/team/app:1.0", "registry.example.com/team/ap"),
        ("docker://registry.example.com/team/app:1.0", "registry.example.com:443"),
        ("docker://registry.example.com/team/app:1.0", "example.com"),
        ("docker://registry.example.com/team/app:1.0", "*.registry.example.com"),
        ("docker://registry.example.com/team/app:1.0", "*.ample.com"),
        ("docker://example.com/team/app:1.0", "*.example.com"),
        ("docker://registry.example.com/team/app:1.0@sha256:" + "0" * 64, "registry.example.com/team/app:1.0"),
        ("docker://busybox", "busybox"),
        ("docker://busybox", "index.docker.io"),
    ],
)
def test_scope_that_is_not_the_images_does_not_apply(text, scope):
    _, reference = PluginManager().parse_reference(text)
    assert str(Policy((), {"docker": {scope: (AcceptAnything(),)}}).scope_of(reference)[0]) == "default"


@pytest.mark.uses("docker")
@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("docker://busybox", "docker.io/library/busybox"),
        ("docker://busybox", "docker.io/library/busybox:latest"),
        ("docker://busybox", "docker.io/library"),
        ("docker://busybox", "docker.io"),
        ("docker://busybox@sha256:" + "0" * 64, "docker.io/library/busybox@sha256:" + "0" * 64),
        ("docker://busybox:1@sha256:" + "0" * 64, "docker.io/library/busybox@sha256:" + "0" * 64),
        ("docker://localhost:5000/a", "localhost:5000"),
    ],
)
def test_scope_of_an_image_in_a_registry_is_normalised(text, scope):
    _, reference = PluginManager().parse_reference(text)
    assert Policy((), {"docker": {scope: (AcceptAnything(),)}}).scope_of(reference)[0] == Scope("docker", scope)


@pytest.mark.uses("dir", "oci", "oci-archive")
@pytest.mark.parametrize("transport", ["dir", "oci", "oci-archive"])
def test_scopes_of_paths_are_the_path_without_links_and_its_parents(transport, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "image").mkdir()
    _, reference = PluginManager().parse_reference(f"{transport}:{tmp_path}/link/../link/image")
    image, parent = f"{tmp_path}/real/image", f"{tmp_path}/real"
    for there in ([image, parent, ""], [parent, ""], [""]):
        policy = Policy((), {transport: {scope: (Reject(),) for scope in (*there, f"{tmp_path}/link")}})
        assert policy.scope_of(reference)[0] == Scope(transport, there[0])


@pytest.mark.uses("docker-archive")
def test_docker_archive_has_only_the_whole_transport(tmp_path):
    _, reference = PluginManager().parse_reference(f"docker-archive:{tmp_path}/a.tar:example.com/app:1")
    scopes = {str(tmp_path): (AcceptAnything(),), "example.com/app:1": (AcceptAnything(),), "": (Reject(),)}
    assert Policy((), {"docker-archive": scopes}).scope_of(reference)[0] == Scope("docker-archive", "")
