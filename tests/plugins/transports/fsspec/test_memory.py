"""A large layer goes through in pieces."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import pytest
from fsspec.config import conf

from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.testing.images import Image
from transship.testing.writers import write_oci_layout

pytestmark = pytest.mark.uses("oci")

MIB = 1 << 20
LARGE = 64 * MIB
_PROGRAM = """
import resource, sys
from transship.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _write_image(folder, size):
    archive = os.urandom(size)
    layer = gzip.compress(archive, 0)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [str(digest_of(archive))]}}).encode()
    blobs = {digest_of(config): config, digest_of(layer): layer}
    described = [
        {"mediaType": kind, "digest": str(digest), "size": len(data)}
        for kind, (digest, data) in zip((OCI_CONFIG, OCI_LAYER_GZIP), blobs.items(), strict=True)
    ]
    members = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described[0], "layers": described[1:]}
    write_oci_layout({"v1": Image(json.dumps(members).encode(), OCI_MANIFEST, blobs, config)}, folder)


def _peak(*arguments):
    """The most memory that a copy ever had, in bytes."""
    settings = {f"FSSPEC_{name.upper()}": json.dumps(values) for name, values in conf.items()}
    command = [sys.executable, "-c", _PROGRAM, "--insecure-policy", "copy", "--quiet", *arguments]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024


def test_memory_does_not_grow_with_the_layer(s3, ssh, new_name, tmp_path):
    bucket, server = f"fsspec:s3://images/{new_name}", f"fsspec:{ssh.url(tmp_path)}/on-server"
    known = ("--src-opt", f"known-hosts={ssh.known_hosts}"), ("--dest-opt", f"known-hosts={ssh.known_hosts}")
    _write_image(tmp_path / "small", MIB)
    _write_image(tmp_path / "large", LARGE)
    usual = _peak(f"oci:{tmp_path}/small:v1", f"{bucket}:small")
    peaks = [
        _peak(f"oci:{tmp_path}/large:v1", f"{bucket}:large"),
        _peak(*known[1], f"{bucket}:large", f"{server}:v1"),
        _peak(*known[0], f"{server}:v1", f"oci:{tmp_path}/back:v1"),
    ]
    assert max(peaks) - usual < LARGE * 3 // 4
