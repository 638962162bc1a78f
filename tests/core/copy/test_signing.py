"""Signatures of a copy: judged, kept, made and stored; and the ways round a policy."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from transship import hookimpl
from transship.api import CopyOptions, MultiArch, Retries, copy, copy_to_all, open_signer
from transship.errors import (
    CopyError,
    InvalidManifestError,
    InvalidReferenceError,
    PluginError,
    SignatureError,
    TransportError,
    TransshipError,
    UnsupportedError,
)
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.platform import Platform
from transship.image.reference import DockerReference
from transship.plugin.events import CreatingSignature, ImageJudged, ImageStarted, SignatureCreated
from transship.plugin.mechanism import Requirement, RequirementVerdict, SignatureMechanism, Signer, UntrustedImage
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.signed_payload import make_payload
from transship.plugin.transport import DestinationTraits, LayerCompression
from transship.policy.document import Policy, parse_policy
from transship.policy.requirements import AcceptAnything, Reject
from transship.testing.images import oci_image, oci_index, schema2_image

IMAGE = "example.com/app:1.0"
SOURCE = f"memory:{IMAGE}"
REFUSING = DestinationTraits(refuses_signatures="no room for signatures")


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "seal.key"
    path.write_bytes(b"open sesame")
    return str(path)


@pytest.fixture
def sealing(memory, seal, key):
    """Images in memory, and a policy that wants seals of ``key``."""
    memory.manager.register(seal)
    return Sealing(memory, seal, key)


class Sealing:
    def __init__(self, memory, seal, key) -> None:
        self.memory = memory
        self.manager = memory.manager
        self.place = memory.place
        self.seal = seal
        self.key = key

    def policy(self, *requirements, **scopes) -> Policy:
        """``requirements`` for everything, ``scopes`` for parts of memory: by default a seal of the key."""
        document = {"default": list(requirements) or [self.sealed()]}
        if scopes.get("scopes"):
            document["transports"] = {"memory": scopes["scopes"]}
        return parse_policy(json.dumps(document).encode(), "test.json", self.manager)

    def sealed(self, **members) -> dict:
        return {"type": "sealedBy", "keyPath": self.key, **members}

    def signer(self, key: str = ""):
        return open_signer(key or self.key, mechanism="seal", manager=self.manager)

    def seal_of(self, image, identity: str = IMAGE, key: str = "") -> Signature:
        with self.signer(key) as signer:
            return signer.sign(image.manifest, image.digest, DockerReference.parse(identity))

    def copy(self, *destinations: str, policy: Policy | None = None, source: str = SOURCE, **settings):
        return copy_to_all(
            source,
            [f"memory:{name}" for name in destinations or ("target",)],
            manager=self.manager,
            policy=policy or self.policy(),
            **settings,
        )


def claim(sealing, payload: bytes) -> Signature:
    """A good seal over any payload."""
    return Signature("seal", sealing.seal.mac(b"open sesame", payload) + payload)


def payload_of(image, **changes) -> bytes:
    document = json.loads(make_payload("seal", IMAGE, image.digest))
    for place, value in changes.items():
        members = document
        *parents, last = place.split("__")
        for parent in parents:
            members = members[parent]
        members[last] = value
    return json.dumps(document).encode()


class TestAcceptance:
    def test_signed_image_is_copied_with_its_signature(self, sealing):
        image = oci_image()
        signature = sealing.seal_of(image)
        sealing.place(IMAGE, image, signatures=(signature,))
        target = sealing.place("target")
        sealing.copy()
        assert target.manifests == [(image.manifest, image.media_type)]
        assert target.stored == {None: (signature,)}

    def test_one_good_signature_among_bad_ones_suffices(self, sealing, tmp_path):
        (tmp_path / "other.key").write_bytes(b"other")
        image = oci_image()
        bad = sealing.seal_of(image, key=str(tmp_path / "other.key"))
        foreign = Signature(SIMPLE_SIGNING, b"\x88signature")
        sealing.place(IMAGE, image, signatures=(bad, foreign, sealing.seal_of(image)))
        sealing.copy()

    def test_signatures_are_read_once_for_policy_and_copy(self, sealing):
        image, reads = oci_image(), []

        def read(instance, signatures):
            reads.append(instance)
            return signatures

        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),), on_get_signatures=read)
        sealing.copy(policy=sealing.policy(sealing.sealed(), sealing.sealed()))
        assert reads == [None]

    def test_removed_signatures_are_still_read_for_the_policy(self, sealing):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        target = sealing.place("target", traits=REFUSING)
        sealing.copy(options=CopyOptions(remove_signatures=True))
        assert (len(target.manifests), target.stored) == (1, {})

    def test_removed_signatures_are_not_read_when_nothing_asks(self, sealing):
        def read(instance, signatures):
            raise AssertionError("read")

        sealing.place(IMAGE, oci_image(), on_get_signatures=read)
        sealing.copy(insecure_policy=True, options=CopyOptions(remove_signatures=True))

    def test_signatures_of_an_index_can_be_left_out_alone(self, sealing):
        index = oci_index()
        signatures = {image.digest: (sealing.seal_of(image),) for image in index.instances}
        signatures[None] = (sealing.seal_of(index),)
        sealing.place(IMAGE, index, on_get_signatures=lambda instance, _: signatures[instance])
        target = sealing.place("target")
        options = CopyOptions(
            multi_arch=MultiArch.PLATFORMS,
            platforms=(Platform("linux", "arm64", "v8"),),
            strip_sparse_index=True,
            remove_index_signatures=True,
        )
        with pytest.raises(CopyError, match="invalidate signatures"):
            sealing.copy(options=options._replace(remove_index_signatures=False))
        sealing.copy(options=options)
        arm64 = index.instances[1].digest
        assert target.stored == {arm64: signatures[arm64]}

    def test_chosen_instance_of_an_index_is_judged_by_its_own_signatures(self, sealing):
        index = oci_index()
        signatures = {image.digest: (sealing.seal_of(image),) for image in index.instances}
        sealing.place(IMAGE, index, on_get_signatures=lambda instance, _: signatures.get(instance, ()))
        target = sealing.place("target")
        sealing.copy()
        assert list(target.stored) == [None]
        assert target.stored[None] in signatures.values()

    def test_what_was_judged_is_told(self, sealing):
        image, events = oci_image(), []
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        sealing.copy(on_event=events.append, policy=sealing.policy({"type": "reject"}, scopes={"": [sealing.sealed()]}))
        (started,) = [event for event in events if isinstance(event, ImageStarted)]
        (judged,) = [event for event in events if isinstance(event, ImageJudged)]
        assert started.digest == judged.digest == image.digest
        assert (judged.scope, judged.accepted) == ('memory ""', True)
        (verdict,) = judged.requirements
        assert (verdict.type, verdict.signatures[0].signer, verdict.signatures[0].identity) == (
            "sealedBy",
            sealing.key,
            IMAGE,
        )


class TestWaysRound:
    """Every one ends with nothing at the destination."""

    @pytest.fixture
    def target(self, sealing):
        target = sealing.place("target")
        yield target
        assert target.log in ([], ["close"])
        assert (target.manifests, target.blobs, target.stored) == ([], {}, {})

    def _refused(self, sealing, *, match="Source image rejected", **settings):
        with pytest.raises(CopyError, match=match) as caught:
            sealing.copy(**settings)
        assert "\n" not in str(caught.value)

    def test_no_signature(self, sealing, target):
        sealing.place(IMAGE, oci_image())
        self._refused(sealing, match="A signature was required, but no signature exists")

    def test_signature_of_another_kind(self, sealing, target):
        sealing.place(IMAGE, oci_image(), signatures=(Signature(SIMPLE_SIGNING, b"\x88x"),))
        self._refused(sealing, match="A signature was required, but no signature exists")

    def test_signature_that_only_says_its_kind(self, sealing, target):
        sealing.place(IMAGE, oci_image(), signatures=(Signature("seal", b""),))
        self._refused(sealing, match="broken")

    def test_signature_with_another_key(self, sealing, target, tmp_path):
        (tmp_path / "other.key").write_bytes(b"other")
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image, key=str(tmp_path / "other.key")),))
        self._refused(sealing, match="broken")

    def test_several_bad_signatures_are_all_told(self, sealing, target):
        image = oci_image()
        signatures = (sealing.seal_of(schema2_image()), sealing.seal_of(image, "example.com/other:1.0"))
        sealing.place(IMAGE, image, signatures=signatures)
        self._refused(sealing, match=r"None of the signatures were accepted, reasons: .*does not match; .*other:1\.0")

    def test_signature_of_another_image(self, sealing, target):
        sealing.place(IMAGE, oci_image(), signatures=(sealing.seal_of(schema2_image()),))
        self._refused(sealing, match="Signature for digest .* does not match")

    @pytest.mark.parametrize(
        "identity",
        [
            "example.com/app:2.0",
            "example.com/app:1.0.0",
            "example.com/other:1.0",
            "example.com/app/app:1.0",
            "example.org/app:1.0",
            "example.com:443/app:1.0",
            "app:1.0",
            "localhost/app:1.0",
        ],
    )
    def test_signature_for_another_name(self, sealing, target, identity):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image, identity),))
        self._refused(sealing, match="is not accepted")

    @pytest.mark.parametrize("text", ["", "example.com/app", "example.com/app:1.0 ", "EXAMPLE.com/app:1.0", "//", "\n"])
    def test_signature_for_what_is_no_complete_name(self, sealing, target, text):
        image = oci_image()
        payload = payload_of(image, **{"critical__identity__docker-reference": text})
        sealing.place(IMAGE, image, signatures=(claim(sealing, payload),))
        self._refused(sealing, match="is not accepted")

    @pytest.mark.parametrize(
        "change",
        [
            {"more": 1},
            {"critical__more": 1},
            {"critical__image__more": 1},
            {"critical__identity__more": 1},
            {"critical__type": "other"},
            {"critical__type": None},
            {"critical__image": None},
            {"critical__image__docker-manifest-digest": 1},
            {"critical__image__docker-manifest-digest": "sha256:0"},
            {"critical__identity": []},
            {"critical__identity__docker-reference": None},
            {"critical": []},
            {"optional": None},
            {"optional": []},
            {"optional__timestamp": "now"},
            {"optional__timestamp": True},
            {"optional__creator": 1},
        ],
    )
    def test_payload_with_anything_odd(self, sealing, target, change):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(claim(sealing, payload_of(image, **change)),))
        self._refused(sealing)

    def test_payload_with_a_duplicate_key(self, sealing, target):
        image = oci_image()
        other = str(schema2_image().digest)
        payload = payload_of(image).replace(
            b'"docker-manifest-digest":', f'"docker-manifest-digest": "{other}", "docker-manifest-digest":'.encode()
        )
        sealing.place(IMAGE, image, signatures=(claim(sealing, payload),))
        self._refused(sealing, match="duplicate")

    def test_payload_with_something_behind_it(self, sealing, target):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(claim(sealing, payload_of(image) + b"{}"),))
        self._refused(sealing)

    def test_changed_payload_under_a_good_seal(self, sealing, target):
        image = oci_image()
        good = sealing.seal_of(image, "example.com/app:2.0").payload
        sealing.place(IMAGE, image, signatures=(Signature("seal", good.replace(b"app:2.0", b"app:1.0")),))
        self._refused(sealing, match="broken")

    def test_image_without_a_name_is_not_what_a_name_was_signed_for(self, sealing, target):
        image = oci_image()
        sealing.place("nameless", image, signatures=(sealing.seal_of(image),))
        self._refused(sealing, source="memory:nameless", match="is not accepted")

    @pytest.mark.parametrize("content", [None, b"", "folder"])
    def test_key_that_cannot_be_read(self, sealing, target, tmp_path, content):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        path = tmp_path / "bad.key"
        if content == "folder":
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)
        self._refused(sealing, policy=sealing.policy(sealing.sealed(keyPath=str(path))), match=r"bad\.key")

    def test_key_path_is_a_link_to_nowhere(self, sealing, target, tmp_path):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        (tmp_path / "link.key").symlink_to("nowhere")
        self._refused(sealing, policy=sealing.policy(sealing.sealed(keyPath=str(tmp_path / "link.key"))))

    @pytest.mark.parametrize("order", [1, -1])
    def test_one_of_two_requirements_refuses(self, sealing, target, order):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        requirements = [sealing.sealed(), {"type": "reject"}][::order]
        self._refused(sealing, policy=sealing.policy(*requirements), match="is rejected by policy")

    def test_two_keys_are_required_and_one_signed(self, sealing, target, tmp_path):
        (tmp_path / "other.key").write_bytes(b"other")
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        other = sealing.sealed(keyPath=str(tmp_path / "other.key"))
        self._refused(sealing, policy=sealing.policy(sealing.sealed(), other))

    def test_broader_scope_that_accepts_does_not_count(self, sealing, target):
        sealing.place(IMAGE, oci_image())
        scopes = {"": [{"type": "insecureAcceptAnything"}], "example.com/app": [sealing.sealed()]}
        self._refused(sealing, policy=sealing.policy({"type": "insecureAcceptAnything"}, scopes=scopes))

    def test_key_of_another_scope_does_not_count(self, sealing, target, tmp_path):
        (tmp_path / "other.key").write_bytes(b"other")
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image, key=str(tmp_path / "other.key")),))
        other = sealing.sealed(keyPath=str(tmp_path / "other.key"))
        scopes = {"example.com/app": [sealing.sealed()], "example.com/other": [other], "example.com": [other]}
        self._refused(sealing, policy=sealing.policy(other, scopes=scopes))

    @pytest.mark.parametrize("kind", ["signedBy", "sigstoreSigned"])
    def test_plugin_that_is_missing(self, memory, kind):
        memory.place(IMAGE, oci_image())
        target = memory.place("target")
        data = json.dumps({"default": [{"type": kind, "keyPath": "x"}]}).encode()
        with pytest.raises(CopyError, match="install transship-"):
            copy(SOURCE, "memory:target", policy=parse_policy(data, "p"), manager=memory.manager)
        assert target.manifests == []

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            True,
            "accepted",
            RequirementVerdict("odd", accepted=1),
            ValueError("boom"),
            RecursionError("deep"),
            AssertionError(),
            OSError("x"),
            StopIteration(),
        ],
    )
    def test_requirement_that_gives_no_verdict(self, sealing, target, answer):
        class Odd(Requirement):
            type = "odd"
            verifies_signatures = True

            def evaluate(self, image):
                if isinstance(answer, Exception):
                    raise answer
                return answer

        sealing.place(IMAGE, oci_image())
        self._refused(sealing, policy=Policy((AcceptAnything(), Odd()), {}))

    def test_demand_for_signatures_is_not_met_by_accepting_anything(self, sealing, target):
        sealing.place(IMAGE, oci_image())
        options = CopyOptions(require_signed=True)
        match = "No signature verification policy found for image memory:example.com/app:1.0"
        self._refused(sealing, policy=Policy((AcceptAnything(),), {}), options=options, match=match)

    def test_policy_without_requirements(self, sealing, target):
        sealing.place(IMAGE, oci_image())
        self._refused(sealing, policy=Policy((), {}))

    def test_insecure_policy_does_not_meet_the_demand_for_signatures(self, sealing, target):
        sealing.place(IMAGE, oci_image())
        self._refused(sealing, insecure_policy=True, options=CopyOptions(require_signed=True))

    def test_signatures_of_the_index_do_not_count_for_an_instance(self, sealing, target):
        index = oci_index()
        sealing.place(IMAGE, index, on_get_signatures=lambda instance, _: () if instance else (sealing.seal_of(index),))
        self._refused(sealing, match="no signature exists")

    def test_signature_of_another_instance_does_not_count(self, sealing, target):
        index = oci_index()
        first, second, *_ = index.instances
        swapped = {first.digest: (sealing.seal_of(second),), second.digest: (sealing.seal_of(first),)}
        sealing.place(IMAGE, index, on_get_signatures=lambda instance, _: swapped.get(instance, ()))
        self._refused(sealing, match="does not match")

    def test_index_alone_is_judged_itself(self, sealing, target):
        index = oci_index()
        sealing.place(IMAGE, index, signatures=(sealing.seal_of(index.instances[0]),))
        options = CopyOptions(multi_arch=MultiArch.INDEX_ONLY)
        self._refused(sealing, options=options, match="does not match")

    def test_signatures_cannot_be_read(self, sealing, target):
        def read(instance, signatures):
            raise TransportError("the line is dead")

        sealing.place(IMAGE, oci_image(), on_get_signatures=read)
        self._refused(sealing, match="Source image rejected: reading signatures: the line is dead")

    def test_endless_signatures_of_a_plugin_are_an_error(self, sealing, target):
        def read(instance, signatures):
            raise MemoryError

        sealing.place(IMAGE, oci_image(), on_get_signatures=read)
        self._refused(sealing)


class TestWhatIsJudgedIsWhatIsCopied:
    def test_manifest_is_read_once(self, sealing):
        image, other, reads = oci_image(), schema2_image(), []

        def get_manifest(instance, data):
            reads.append(instance)
            return data if len(reads) == 1 else other.manifest

        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),), on_get_manifest=get_manifest)
        target = sealing.place("target")
        sealing.copy()
        assert target.manifests == [(image.manifest, image.media_type)]

    def test_another_attempt_is_judged_again(self, sealing):
        image, attempts = oci_image(), []

        def fail(media_type):
            raise TransportError("broken pipe", retryable=True)

        def signatures(instance, signatures):
            attempts.append(instance)
            return (sealing.seal_of(image),) if len(attempts) == 1 else ()

        sealing.place(IMAGE, image, on_get_signatures=signatures)
        target = sealing.place("target", on_put_manifest=fail)
        with pytest.raises(CopyError, match="Source image rejected"):
            sealing.copy(retries=Retries(3, 0.001))
        assert (len(attempts), target.manifests) == (2, [])

    def test_signatures_that_could_not_be_read_are_read_again(self, sealing):
        image, attempts = oci_image(), []

        def signatures(instance, signatures):
            attempts.append(instance)
            if len(attempts) == 1:
                raise TransportError("connection reset", retryable=True)
            return (sealing.seal_of(image),)

        sealing.place(IMAGE, image, on_get_signatures=signatures)
        target = sealing.place("target")
        sealing.copy(retries=Retries(1, 0.001))
        assert target.log[-2:] == ["commit", "close"]

    def test_nothing_of_an_index_with_one_refused_instance_is_written(self, sealing):
        index = oci_index()
        signatures = {image.digest: (sealing.seal_of(image),) for image in index.instances[:-1]}
        sealing.place(IMAGE, index, on_get_signatures=lambda instance, _: signatures.get(instance, ()))
        target = sealing.place("target")
        with pytest.raises(CopyError, match="Source image rejected") as caught:
            sealing.copy(options=CopyOptions(multi_arch=MultiArch.ALL))
        assert str(len(index.instances)) in str(caught.value)
        assert (target.log, target.blobs, target.manifests) == (["close"], {}, [])

    def test_members_that_are_too_big_together_are_refused(self, sealing):
        members = json.loads(oci_index().manifest)
        for entry in members["manifests"]:
            entry["size"] = 33 << 20
        index = replace(oci_index(), manifest=json.dumps(members).encode())
        sealing.place(IMAGE, index)
        target = sealing.place("target")
        with pytest.raises(InvalidManifestError, match="together"):
            sealing.copy(insecure_policy=True, options=CopyOptions(multi_arch=MultiArch.ALL))
        assert target.log == ["close"]

    def test_every_instance_of_a_copied_index_is_judged(self, sealing):
        index, events = oci_index(), []
        signatures = {image.digest: (sealing.seal_of(image),) for image in index.instances}
        sealing.place(IMAGE, index, on_get_signatures=lambda instance, _: signatures.get(instance, ()))
        sealing.copy(options=CopyOptions(multi_arch=MultiArch.ALL), on_event=events.append)
        judged = [event.digest for event in events if isinstance(event, ImageJudged)]
        assert judged == [image.digest for image in index.instances]


class TestSigning:
    def test_new_signature_is_for_the_destination(self, sealing):
        image, events = oci_image(), []
        sealing.place(IMAGE, image)
        target = sealing.place("example.org/team/app:2.0")
        with sealing.signer() as signer:
            sealing.copy("example.org/team/app:2.0", insecure_policy=True, signers=[signer], on_event=events.append)
        (signature,) = target.stored[None]
        copied = UntrustedImage(
            sealing.manager.parse_reference("memory:example.org/team/app:2.0")[1],
            image.manifest,
            image.media_type,
            lambda: (signature,),
        )
        assert sealing.policy().default[0].evaluate(copied).accepted
        (made,) = [event for event in events if isinstance(event, SignatureCreated)]
        assert (made.mechanism, made.identity, made.digest) == ("seal", "example.org/team/app:2.0", image.digest)
        assert target.log[-3:] == ["signatures", "commit", "close"]

    @pytest.mark.uses("gzip")
    def test_signature_is_over_the_manifest_as_it_was_written(self, sealing):
        sealing.place(IMAGE, oci_image(compression=""))
        target = sealing.place("example.org/app:1", traits=DestinationTraits(compression=LayerCompression.COMPRESS))
        with sealing.signer() as signer:
            (result,) = sealing.copy("example.org/app:1", insecure_policy=True, signers=[signer])
        ((data, media_type),) = target.manifests
        assert result.digest == manifest_digest(data, media_type)
        assert str(result.digest).encode() in target.stored[None][0].payload

    def test_kept_signatures_come_first(self, sealing):
        image = oci_image()
        kept = sealing.seal_of(image)
        sealing.place(IMAGE, image, signatures=(kept,))
        target = sealing.place("example.org/app:1")
        with sealing.signer() as signer:
            sealing.copy("example.org/app:1", signers=[signer])
        assert target.stored[None][0] == kept
        assert len(target.stored[None]) == 2

    def test_every_instance_and_the_index_are_signed_with_one_name(self, sealing):
        index = oci_index()
        sealing.place(IMAGE, index)
        target = sealing.place("example.org/app:1")
        with sealing.signer() as signer:
            sealing.copy(
                "example.org/app:1",
                insecure_policy=True,
                signers=[signer],
                options=CopyOptions(multi_arch=MultiArch.ALL),
            )
        assert set(target.stored) == {None, *(image.digest for image in index.instances)}
        for digest, (signature,) in target.stored.items():
            assert b'"docker-reference":"example.org/app:1"' in signature.payload
            assert str(digest or index.digest).encode() in signature.payload

    def test_every_destination_is_signed_under_its_own_name(self, sealing):
        sealing.place(IMAGE, oci_image())
        names = ("example.org/a:1", "example.org/b:2")
        targets = [sealing.place(name) for name in names]
        with sealing.signer() as signer:
            sealing.copy(*names, insecure_policy=True, signers=[signer])
        for name, target in zip(names, targets, strict=True):
            assert f'"{name}"'.encode() in target.stored[None][0].payload

    def test_tag_of_a_destination_with_a_digest_is_what_is_signed(self, sealing):
        image = oci_image()
        sealing.place(IMAGE, image)
        name = f"example.com/app:2@{image.digest}"
        target = sealing.place(name)
        with sealing.signer() as signer:
            sealing.copy(name, insecure_policy=True, signers=[signer])
        assert b'"example.com/app:2"' in target.stored[None][0].payload

    def test_sign_identity_replaces_the_destinations_name(self, sealing):
        sealing.place(IMAGE, oci_image())
        target = sealing.place("target")
        with sealing.signer() as signer:
            options = CopyOptions(sign_identity="example.net/app:9")
            sealing.copy(insecure_policy=True, signers=[signer], options=options)
        assert b'"example.net/app:9"' in target.stored[None][0].payload

    def test_several_signers_are_numbered(self, sealing):
        events = []
        sealing.place(IMAGE, oci_image())
        with sealing.signer() as signer:
            sealing.copy(
                insecure_policy=True,
                signers=[signer, signer],
                options=CopyOptions(sign_identity=IMAGE),
                on_event=events.append,
            )
        told = [(event.number, event.total) for event in events if isinstance(event, CreatingSignature)]
        assert told == [(1, 2), (2, 2)]

    def test_dry_run_signs_nothing(self, sealing):
        events = []
        sealing.place(IMAGE, oci_image())
        with sealing.signer() as signer:
            sealing.copy(
                "example.org/app:1",
                insecure_policy=True,
                signers=[signer],
                options=CopyOptions(dry_run=True),
                on_event=events.append,
            )
        assert not [event for event in events if isinstance(event, SignatureCreated)]

    @pytest.mark.parametrize(
        ("name", "options", "traits", "error", "match"),
        [
            (
                "target",
                CopyOptions(),
                {},
                SignatureError,
                "Cannot determine canonical Docker reference for destination",
            ),
            ("example.org/app", CopyOptions(), {}, SignatureError, "neither a tag nor a digest"),
            (
                "target",
                CopyOptions(sign_identity="example.org/app"),
                {},
                SignatureError,
                "Sign identity must be a fully specified reference",
            ),
            ("target", CopyOptions(sign_identity="app:1"), {}, InvalidReferenceError, "canonical"),
            ("target", CopyOptions(sign_identity="@"), {}, InvalidReferenceError, "sign identity"),
            ("example.org/app:1", CopyOptions(), {"traits": REFUSING}, CopyError, "writing signatures: no room"),
        ],
    )
    def test_what_cannot_be_signed_is_told_before_anything_is_written(
        self, sealing, name, options, traits, error, match
    ):
        source = sealing.place(IMAGE, oci_image())
        target = sealing.place(name, **traits)
        with sealing.signer() as signer, pytest.raises(error, match=match):
            sealing.copy(name, insecure_policy=True, signers=[signer], options=options)
        assert (target.log, source.reads) == (["close"], [])

    def test_signature_of_a_source_is_not_copied_where_there_is_no_room(self, sealing):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        target = sealing.place("target", traits=REFUSING)
        with pytest.raises(CopyError, match="Can not copy signatures to memory:target: no room"):
            sealing.copy()
        assert target.log == ["close"]

    def test_signer_that_fails_leaves_no_name(self, sealing):
        sealing.place(IMAGE, oci_image())
        target = sealing.place("example.org/app:1")
        signer = sealing.signer()
        signer._signer = Signer()
        signer._signer.sign = lambda *arguments: (_ for _ in ()).throw(SignatureError("no key"))
        with pytest.raises(CopyError, match="creating signature: no key"):
            sealing.copy("example.org/app:1", insecure_policy=True, signers=[signer])
        assert "commit" not in target.log


class TestStores:
    def test_source_has_the_signatures_of_its_store_too(self, sealing, tmp_path):
        image = oci_image()
        store = sealing.seal.SealFolder(str(tmp_path))
        store.write(None, image.digest, [sealing.seal_of(image)])
        sealing.place(IMAGE, image)
        target = sealing.place("target")
        sealing.copy(source_signatures=f"seal:{tmp_path}")
        assert len(target.stored[None]) == 1

    def test_store_takes_signatures_where_the_destination_does_not(self, sealing, tmp_path):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        target = sealing.place("example.org/app:1", traits=REFUSING)
        with sealing.signer() as signer:
            sealing.copy("example.org/app:1", signers=[signer], destination_signatures=f"seal:{tmp_path}")
        assert target.stored == {}
        assert len(sealing.seal.SealFolder(str(tmp_path)).read(None, image.digest)) == 2

    def test_instances_are_stored_by_their_digests(self, sealing, tmp_path):
        index = oci_index()
        sealing.place(IMAGE, index)
        with sealing.signer() as signer:
            sealing.copy(
                "example.org/app:1",
                insecure_policy=True,
                signers=[signer],
                destination_signatures=f"seal:{tmp_path}",
                options=CopyOptions(multi_arch=MultiArch.ALL),
            )
        store = sealing.seal.SealFolder(str(tmp_path))
        assert all(store.read(None, digest) for digest in (index.digest, *(each.digest for each in index.instances)))

    @pytest.mark.parametrize(
        ("text", "error"), [("seal", UnsupportedError), ("nobody:x", PluginError), (":", PluginError)]
    )
    def test_store_that_is_not_there_is_refused(self, sealing, text, error):
        sealing.place(IMAGE, oci_image())
        with pytest.raises(error):
            sealing.copy(insecure_policy=True, source_signatures=text)


class TestSigners:
    @pytest.mark.parametrize(
        ("mechanism", "method", "match"),
        [("nobody", "", "nobody"), ("seal", "blood", "key"), ("mute", "", "cannot sign")],
    )
    def test_way_to_sign_that_is_not_there_is_refused(self, sealing, mechanism, method, match):
        class Mute(SignatureMechanism):
            name = "mute"

        class Plugin:
            @hookimpl
            def transship_signature_mechanisms(self):
                return [Mute()]

        sealing.manager.register(Plugin())
        with pytest.raises(TransshipError, match=match):
            open_signer("key", mechanism=mechanism, method=method, manager=sealing.manager)

    def test_what_is_no_signature_is_not_stored(self, sealing):
        signer = sealing.signer()
        signer._signer.sign = lambda *arguments: b"signature"
        with pytest.raises(SignatureError, match="seal"):
            signer.sign(b"", Digest.parse("sha256:" + "0" * 64), DockerReference.parse(IMAGE))

    def test_secrets_are_forgotten_at_the_end_of_the_block(self, sealing):
        with sealing.signer() as signer:
            inner = signer._signer
        assert inner._key == b""


def test_rejecting_policy_is_told_in_skopeos_words(memory):
    memory.place(IMAGE, oci_image())
    with pytest.raises(CopyError) as caught:
        copy(SOURCE, "memory:target", policy=Policy((Reject(),), {}), manager=memory.manager)
    assert str(caught.value) == f"Source image rejected: Running image {SOURCE} is rejected by policy."


class TestFormats:
    """A destination may have room for some formats of signatures only."""

    TRAITS = DestinationTraits(refuses_formats={"seal": "no wax here"})

    def test_new_signature_of_a_refused_format_is_told_before_anything_is_written(self, sealing):
        sealing.place(IMAGE, oci_image())
        target = sealing.place("example.org/app:1", traits=self.TRAITS)
        with sealing.signer() as signer, pytest.raises(CopyError, match="writing signatures: no wax here"):
            sealing.copy("example.org/app:1", insecure_policy=True, signers=[signer])
        assert target.log == ["close"]

    def test_kept_signature_of_a_refused_format_is_told_before_anything_is_written(self, sealing):
        image = oci_image()
        sealing.place(IMAGE, image, signatures=(sealing.seal_of(image),))
        target = sealing.place("target", traits=self.TRAITS)
        with pytest.raises(CopyError, match="Can not copy signatures to memory:target: no wax here"):
            sealing.copy()
        assert target.log == ["close"]

    def test_other_formats_are_written(self, sealing):
        sealing.place(IMAGE, oci_image(), signatures=(Signature(SIMPLE_SIGNING, b"\x88x"),))
        target = sealing.place("target", traits=self.TRAITS)
        sealing.copy(insecure_policy=True)
        assert len(target.stored[None]) == 1
