"""The benchmarks run, on images that are far too small to measure anything, and find out what was written wrongly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = ("--runs", "1", "--megabytes", "2", "--images", "2")

# It spoils one of the blobs that transship has written to a dir: folder.
SPOILING = """\
#!{python}
import pathlib, re, subprocess, sys
done = subprocess.run(["{python}", "-m", "transship", *sys.argv[1:]])
if "copy" in sys.argv and sys.argv[-1].startswith("dir:"):
    blob = next(path for path in pathlib.Path(sys.argv[-1][4:]).iterdir() if re.fullmatch("[0-9a-f]{{64}}", path.name))
    blob.write_bytes(blob.read_bytes() + b"x")
sys.exit(done.returncode)
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_comparison_with_skopeo_runs(tmp_path):
    only = "version|oci to dir|zstd|mounted|registry to dir"
    done = run("compare.py", *TINY, "--only", only, "--folder", str(tmp_path), "--json", str(tmp_path / "report"))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["scenario"]: row for row in json.loads((tmp_path / "report").read_text())["scenarios"]}
    assert len(rows) == 7
    assert all(row["ratio"] > 0 and row["floor_seconds"] > 0 for row in rows.values())
    assert rows["oci to oci, gzip to zstd"]["peer_of"] == "docker-archive to oci, zstd"
    assert rows["oci to dir"]["ours_written"] == rows["oci to dir"]["peer_written"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_what_was_written_wrongly_does_not_count(tmp_path):
    program = tmp_path / "spoiling"
    program.write_text(SPOILING.format(python=sys.executable))
    program.chmod(0o700)
    done = run("compare.py", *TINY, "--only", "^oci to dir", "--folder", str(tmp_path), "--transship", str(program))
    assert done.returncode == 1
    assert "WRONG" in done.stdout


def test_requests_are_counted(tmp_path):
    report = tmp_path / "report"
    done = run("count_requests.py", "--images", "2", "--only", "^inspect$|to do", "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(row["ours"]["requests"] >= row["fewest"] for row in json.loads(report.read_text()))


def test_growth_is_measured_and_drawn(tmp_path):
    report, plots = tmp_path / "report", tmp_path / "plots"
    flags = ["--runs", "1", "--most", "16", "--only", "layers", "--folder", str(tmp_path)]
    done = run("growth.py", *flags, "--json", str(report), "--plots", str(plots))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [axis["points"] for axis in json.loads(report.read_text())] == [[1, 8, 16]] * 2
    assert all(path.read_text().startswith("<svg") for path in plots.iterdir())
    assert len(list(plots.iterdir())) == 2
