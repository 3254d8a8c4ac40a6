"""The history of benchmarks: what a run leaves in it, what it tells of, and what is drawn; who takes the processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import cpu, history, instance, report  # noqa: E402

MACHINE = {"CPU": "fast, 2 cores", "memory": "24 GiB", "disk": "/dev/vda, ext4", "load before": "0.1"}


def results(put: float, **machine: str) -> dict[str, Any]:
    spread = {"median": put, "low": put - 0.1, "high": put + 0.1, "target": 2}
    return {
        "date": "2026-11-26",
        "machine": MACHINE | machine,
        "side by side": [{"name": "PUT of 1 KiB", "ours against": {"6.1.0": spread}}],
    }


def line(put: float, commit: str = "abc", benchmark: str = "files", **machine: str) -> dict[str, Any]:
    return history.line_of(results(put, **machine), benchmark, "6.2.0", commit)


def test_a_run_leaves_a_line_and_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    for put in (2.0, 1.5):
        history.leave(results(put), "files", "6.2.0", tmp_path)
    lines = json.loads((tmp_path / "history.json").read_text())
    assert [one["ratios"] for one in lines] == [{"PUT of 1 KiB": {"6.1.0": 2.0}}, {"PUT of 1 KiB": {"6.1.0": 1.5}}]
    assert [set(one) for one in lines] == [{"benchmark", "version", "commit", "date", "machine", "ratios"}] * 2
    assert lines[0]["commit"] == history.commit_of()
    assert (tmp_path / "history.json").read_text().count("\n") == 4
    assert f"PUT of 1 KiB: 1.50 times 6.1.0, after 2.00 at {lines[0]['commit']}" in capsys.readouterr().err
    drawn = (tmp_path / "history-files.svg").read_text()
    ElementTree.fromstring(drawn)
    assert "PUT of 1 KiB" in drawn
    history.draw(lines, tmp_path)
    assert (tmp_path / "history-files.svg").read_text() == drawn


def test_what_a_benchmark_has_measured_is_shown_and_written_where_somebody_wants_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, tables = results(2.0), {"rows": [["What", "Times"], ["PUT", "2.0"]]}
    for folder in (None, tmp_path / "new"):
        report.show("name", measured, tables, folder)
        assert "PUT   2.0" in capsys.readouterr().out
    written = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert json.loads(written.pop("name.json")) == measured
    assert "fast, 2 cores" in written.pop("name-machine.inc")
    assert "- PUT" in written.pop("rows.inc")
    assert written == {}


def test_a_run_on_a_checkout_with_changes_says_so(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b", *arguments], check=True
        )

    assert history.commit_of(tmp_path) == "unknown"
    git("init", "--quiet")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "--message", "One")
    assert not history.commit_of(tmp_path).endswith("+")
    (tmp_path / "file").write_text("2")
    assert history.commit_of(tmp_path).endswith("+")


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ([], False),
        ([line(2.0)], True),
        ([line(1.65)], False),
        ([line(2.0), line(1.6)], False),
        ([line(2.0, CPU="slow, 8 cores")], False),
        ([line(2.0, **{"load before": "3"})], True),
        ([line(2.0, benchmark="instance")], False),
    ],
)
def test_what_is_slower_than_before_on_the_same_machine_is_told(before: list[Any], told: bool) -> None:
    assert bool(history.slower([*before, line(1.5)])) is told


def test_the_history_in_the_documentation_is_drawn_by_its_page() -> None:
    lines = history.read()
    page = (ROOT / "docs" / "explanation" / "performance.rst").read_text()
    for benchmark in {one["benchmark"] for one in lines}:
        name = f"performance/history-{benchmark}.svg"
        assert f".. image:: /{name}" in page
        assert (ROOT / "docs" / name).exists()


def test_who_takes_the_processors_is_seen() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=-1, stdout=-1) as server:
        with cpu.taken(server.pid) as found:
            assert server.stdout
            server.stdout.readline()
            begun = time.process_time()
            while time.process_time() < begun + 0.1:
                os.getppid()
        server.communicate(b"\n")
    assert 0.2 <= found["server"] < 1
    assert 0.05 <= found["client"] < 1


def test_the_processors_of_a_request_are_shared_out() -> None:
    turns = [{"rate": 100.0, "server": 0.8, "PostgreSQL": 0.2, "client": 0.1}] * 2
    found = instance.processors({"ours": turns})
    assert found == {"ours": pytest.approx({"server": 8, "PostgreSQL": 2, "client": 1, "cores busy": 1.1})}
    assert instance.processors_table({"processors": {"PUT": found}})[1] == ["PUT", "ours", "8.0", "2.0", "1.0", "1.10"]


def test_what_is_measured_of_an_object_store_is_told_in_tables() -> None:
    pytest.importorskip("boto3", reason="the extra s3 is not installed")
    from benchmarks import s3

    mib = 1024**2
    used = {"PUT of 512 MiB": {"ours": [{"server": seconds, "memory": 3 * mib} for seconds in (9, 1, 2, 3)]}}
    assert s3.used_table({"used": used})[1] == ["PUT of 512 MiB, CPU s of a GiB", "ours", "2.00", "", "", "", "3"]
    asked = {"PUT": ["CreateMultipartUpload", "UploadPart", "UploadPart"]}
    assert s3.asked_table({"asked": asked})[1] == ["PUT", "3", "CreateMultipartUpload, 2 UploadPart"]
    found = {"count": 10, "size": 64 * mib, "to": "folder", "seconds": 5, "CPU": 0.1, "memory": 2 * mib}
    assert s3.migration_table({"migration": [found]})[1] == ["10 of 64 MiB", "the folder", "2", "128", "10", "2"]
