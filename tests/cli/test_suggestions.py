"""What a message suggests to whoever mistyped a name."""

from __future__ import annotations

import io
import sys

import pytest

from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import write_oci_layout


class Terminal(io.StringIO):
    def isatty(self):
        return True


def of(plugin, *values):
    """A row of a table that cannot be without ``plugin``."""
    return pytest.param(*values, marks=pytest.mark.uses(plugin))


@pytest.fixture
def registry():
    with Registry() as registry:
        registry.put_image("app", "v1.0", oci_image())
        yield registry


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        ("copy --sign-bye x a b", "--sign-by"),
        ("inspect --polcy x a", "--policy"),
        ("inspect --fromat x a", "--format"),
        ("--insecure-polcy inspect a", "--insecure-policy"),
        of("docker", "inspect dokcer://host/app", "docker"),
        of("oci-archive", "inspect oci-archiv:x", "oci-archive"),
        of("docker", "inspect quay.io/team/app:v1", "docker://quay.io/team/app:v1"),
        of("docker", "inspect localhost:5000/app", "docker://localhost:5000/app"),
        of("docker", "inspect registry.example/app", "docker://registry.example/app"),
        of("docker", "sync --src dokcer --dest dir a b", "docker"),
        of("oci", "inspect oci:layout:v2", "oci:layout:v1"),
        of("oci", "copy oci:layout:v11 oci:x", "oci:layout:v1"),
        of("oci", "delete oci:layout:plane", "oci:layout:plain"),
        of("docker-archive", "inspect docker-archive:archive.tar:example.com/app:1.1", "example.com/app:1.0"),
    ],
)
def test_what_is_near_is_named(run, images, args, meant):
    outcome = run(*args.split())
    assert outcome.code in (1, 2)
    assert "; did you mean " in outcome.fatal
    assert meant in outcome.fatal.rpartition("; did you mean ")[2].removesuffix("?").split(" or ")


@pytest.mark.parametrize(
    "args",
    [
        "copy --nothing-like-it a b",
        "copy --version a b",
        "inspect nothinglikeit:x",
        "inspect nothing-like-it",
        "inspect Not/A:Name",
        "inspect oci:layout:nothing-like-it",
        "inspect oci:nowhere:v1",
        "inspect ''",
    ],
)
def test_what_is_far_is_not(run, images, args):
    assert "did you mean" not in run(*args.split()).err


def test_what_is_much_farther_is_not_named_beside_the_nearest(run):
    assert run("copy", "--fromat", "a", "b").fatal.endswith("did you mean --format?")


@pytest.mark.uses("oci")
def test_there_are_three_suggestions_at_most(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_oci_layout({f"v1.{number}": oci_image() for number in range(9)}, tmp_path / "layout")
    outcome = run("inspect", "oci:layout:v1.x")
    assert outcome.code == 2
    assert outcome.fatal.count("oci:layout:v1.") == 1 + 3


@pytest.mark.uses("docker")
class TestRegistry:
    @pytest.fixture
    def ask(self, registry, monkeypatch):
        """Inspects an image with standard error on a terminal or not; gives the exit code and what was said."""

        def ask(image, *, stream):
            from transship.cli.application import Application

            monkeypatch.setattr(sys, "stderr", stream)
            code = Application().run(["inspect", "--tls-verify=false", f"docker://{registry.host}/{image}"])
            return code, stream.getvalue()

        return ask

    def test_it_is_asked_for_tags_only_if_somebody_reads_the_answer(self, registry, ask):
        code, said = ask("app:v1.1", stream=io.StringIO())
        assert (code, "did you mean" in said) == (2, False)
        assert not [path for _, path in requests(registry) if "tags/list" in path]
        code, said = ask("app:v1.1", stream=Terminal())
        assert code == 2
        assert f"did you mean docker://{registry.host}/app:v1.0?" in said
        assert len([path for _, path in requests(registry) if "tags/list" in path]) == 1

    @pytest.mark.parametrize("image", ["app", "nowhere:v1", f"app@sha256:{'0' * 64}", f"app:v1.1@sha256:{'0' * 64}"])
    def test_without_a_tag_that_could_be_meant_nothing_is(self, ask, image):
        code, said = ask(image, stream=Terminal())
        assert code in (1, 2)
        assert "did you mean" not in said


def requests(registry):
    return [(request.method, request.path) for request in registry.requests]
