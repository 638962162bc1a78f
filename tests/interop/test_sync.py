"""``transship sync`` and ``skopeo sync`` side by side, with a real registry."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import peers
import pytest
from registries import docker_registry

from transship.image.digest import digest_of
from transship.testing.images import oci_image, oci_index, schema2_image

pytestmark = pytest.mark.interop

TRANSSHIP = str(Path(sys.executable).with_name("transship"))
IMAGES = {f"1.{number}": oci_image(architecture=f"arch{number}") for number in range(6)}
_TIME = re.compile(r'^time="[^"]*" ', re.MULTILINE)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    with docker_registry(folder) as registry:
        for tag, image in IMAGES.items():
            registry.put_image("team/app", tag, image)
        registry.put_image("team/multi", "latest", oci_index())
        registry.put_image("team/old", "2", schema2_image())
        yield registry


def run(program: str, folder: Path, *args: str) -> tuple[int, str, str]:
    """Exit code, standard output and log, without times and without what the programs call themselves."""
    done = subprocess.run(
        [program, "--insecure-policy", "sync", "--src-tls-verify=false", "--dest-tls-verify=false", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, _TIME.sub("", done.stderr)


def skopeo(folder: Path, *args: str) -> tuple[int, str, str]:
    return run(peers.SKOPEO, folder, *(arg for arg in args if arg not in ("--jobs", "1")))


def transship(folder: Path, *args: str) -> tuple[int, str, str]:
    return run(TRANSSHIP, folder, *args)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def both(tmp_path: Path, *args: str) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    """What the two say, each run in a folder of its own."""
    answers = []
    for run_it, name in ((skopeo, "skopeo"), (transship, "transship")):
        (tmp_path / name).mkdir(exist_ok=True)
        answers.append(run_it(tmp_path / name, *args))
    return answers[0], answers[1]


@pytest.mark.parametrize(
    "args",
    [
        ("--src", "docker", "--dest", "dir", "{host}/team/app", "out"),
        ("--src", "docker", "--dest", "dir", "--scoped", "{host}/team/app", "out/deep"),
        ("--src", "docker", "--dest", "dir", "{host}/team/app:1.1", "out"),
        ("--src", "docker", "--dest", "dir", "--all", "{host}/team/multi", "out"),
        ("--src", "docker", "--dest", "dir", "{host}/team/old:2", "./out/"),
        ("--src", "yaml", "--dest", "dir", "{yaml}", "out"),
    ],
    ids=" ".join,
)
def test_both_make_the_same_tree(registry, tmp_path, args):
    document = tmp_path / "sync.yaml"
    document.write_text(
        f"{registry.host}:\n  tls-verify: false\n  images:\n    team/app: ['1.0', '1.5']\n    team/old: []\n"
        "  images-by-tag-regex:\n    team/app: ^1.[23]$\n"
    )
    words = [word.format(host=registry.host, yaml=document) for word in args]
    peer, ours = both(tmp_path, "--jobs", "1", *words)
    assert (peer[0], ours[0]) == (0, 0)
    assert tree(tmp_path / "transship") == tree(tmp_path / "skopeo")
    assert sorted(ours[2].splitlines()) == sorted(peer[2].splitlines())


def test_both_say_the_same_in_the_same_order(registry, tmp_path):
    peer, ours = both(tmp_path, "--jobs", "1", "--src", "docker", "--dest", "dir", f"{registry.host}/team/app", "out")
    assert ours[2] == peer[2]
    assert sorted(ours[1].splitlines()) == sorted(line for line in peer[1].splitlines() if line != "Storing signatures")


@pytest.mark.parametrize(
    "args",
    [
        ("--src", "docker", "--dest", "dir", "{host}/team/none", "out"),
        ("--src", "docker", "--dest", "dir", "Not/Valid", "out"),
        ("--src", "docker", "--dest", "dir", "docker://busybox", "out"),
        ("--src", "docker", "--dest", "docker", "{host}/team/app", "BAD//"),
        ("--src", "dir", "--dest", "docker", "none", "{host}"),
        ("--src", "dir", "--dest", "docker", "empty", "{host}"),
        ("--src", "dir", "--dest", "dir", "a", "b"),
        ("--src", "foo", "--dest", "dir", "a", "b"),
        ("--src", "dir", "--dest", "foo", "a", "b"),
        ("--src", "dir", "a", "b"),
        ("a", "b"),
        ("--src", "yaml", "--dest", "dir", "none.yaml", "out"),
        ("--src", "docker", "--dest", "dir", "--dry-run", "{host}/team/app", "out"),
    ],
    ids=" ".join,
)
def test_both_complain_alike(registry, tmp_path, args):
    for name in ("skopeo", "transship"):
        (tmp_path / name / "empty").mkdir(parents=True)
    words = [word.format(host=registry.host) for word in args]
    peer, ours = both(tmp_path, *words)
    assert ours[0] == peer[0]
    assert comparable(ours[2]) == comparable(peer[2])


def comparable(log: str) -> list[str]:
    """The lines but for what the registry answers, and for what exactly is wrong with a name.

    What old versions of the peer call an image where tags are listed is a repository in later ones.
    """
    return sorted(
        re.sub(r"(fetching tags list|invalid reference format): .*", r"\1", line)
        .replace("repository tags for image ", "repository tags for repo ")
        .rstrip('"')
        for line in log.splitlines()
    )


def test_a_folder_that_exists_is_refused_by_both(registry, tmp_path):
    words = ("--keep-going", "--jobs", "1", "--src", "docker", "--dest", "dir", f"{registry.host}/team/app:1.0", "out")
    both(tmp_path, *words)
    peer, ours = both(tmp_path, *words)
    assert ours == peer
    assert ours[0] == 1


def test_each_finds_what_the_other_has_copied(registry, tmp_path):
    words = ("--jobs", "1", "--src", "docker", "--dest", "docker", f"{registry.host}/team/app")
    assert skopeo(tmp_path, *words, f"{registry.host}/by/skopeo")[0] == 0
    code, out, log = transship(tmp_path, *words, f"{registry.host}/by/skopeo")
    assert (code, out.count("Skipping: image already present at destination")) == (0, len(IMAGES))
    assert transship(tmp_path, *words, f"{registry.host}/by/transship")[0] == 0
    peer = skopeo(tmp_path, *words, f"{registry.host}/by/transship")
    assert (peer[0], peer[1]) == (code, out)
    assert peer[2].replace("by/transship", "by/skopeo") == log


def test_folders_of_one_go_to_a_registry_by_the_other(registry, tmp_path):
    source = f"{registry.host}/team/app"
    assert transship(tmp_path, "--src", "docker", "--dest", "dir", source, "media")[0] == 0
    to_registry = ("--src", "dir", "--dest", "docker", "media")
    peer = skopeo(tmp_path, *to_registry, f"{registry.host}/one")
    ours = transship(tmp_path, *to_registry, f"{registry.host}/two")
    assert (peer[0], ours[0]) == (0, 0)
    assert sorted(ours[2].replace("/two/", "/one/").splitlines()) == sorted(peer[2].splitlines())
    for tag, image in IMAGES.items():
        assert registry.read("two/app", tag).manifest == image.manifest


def test_a_run_that_is_killed_is_finished_by_the_next(tmp_path):
    images = {f"t{number}": oci_image(architecture=f"kill{number}") for number in range(40)}
    chance = random.Random(7)
    with docker_registry(tmp_path) as registry:
        for tag, image in images.items():
            registry.put_image("many", tag, image)
        words = ["--insecure-policy", "sync", "--src-tls-verify=false", "--dest-tls-verify=false"]
        words += ["--src", "docker", "--dest", "docker", f"{registry.host}/many", f"{registry.host}/mirror"]
        for _ in range(3):
            process = subprocess.Popen([TRANSSHIP, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.3, 1.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = subprocess.run([TRANSSHIP, *words], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        for tag, image in images.items():
            stored = registry.read("mirror/many", tag)
            assert stored.manifest == image.manifest
            for digest in image.blobs:
                assert digest_of(stored.blobs[digest.encoded]) == digest
