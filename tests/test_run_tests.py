"""What run-tests.sh does with its stages, and with its options."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.waiting import wait_until

ROOT = Path(__file__).parent.parent
BEGIN = "set -euo pipefail\n. scripts/stages.sh\n"


def stages(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"{BEGIN}{script}\nsummary"], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_all_stages_run_and_the_end_tells_what_failed() -> None:
    done = stages("stage First false\nstage Second echo done\nleft_out Third 'there is no server'")
    assert done.returncode == 1
    assert "== Second\ndone\n" in done.stdout
    outcomes = [re.split("  +", line.strip()) for line in done.stdout.split("== Stages\n")[1].splitlines()]
    assert [outcome[1:] for outcome in outcomes] == [
        ["FAILED", "First"],
        ["passed", "Second"],
        ["left out", "Third, there is no server"],
    ]
    assert [re.fullmatch(r"\d+ s|- s", outcome[0]) is not None for outcome in outcomes] == [True] * 3


def test_stages_that_pass_are_a_success() -> None:
    done = stages("stage First true")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failure_in_the_middle_of_a_stage_is_one_of_the_stage() -> None:
    done = stages("middle() { false && true; }\nstage Middle middle\nstage Last true")
    assert done.returncode == 1
    assert "passed    Last" in done.stdout


def test_what_runs_beside_a_stage_is_a_stage_that_waits_for_it() -> None:
    done = stages(
        "late() { sleep 0.2; echo was late; false; }\nmeanwhile late late\nmeanwhile second echo second\n"
        "stage First echo first\nstage Second await second\nstage Late await late"
    )
    assert done.returncode == 1
    assert "== First\nfirst\n\n== Second\nsecond\n\n== Late\nwas late\n" in done.stdout
    assert re.findall(r"(\w+)  +(\w+)$", done.stdout, re.MULTILINE) == [
        ("passed", "First"),
        ("passed", "Second"),
        ("FAILED", "Late"),
    ]


def test_ctrl_c_ends_all_stages_and_what_runs_beside_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    beside = f"beside() {{ sleep 100 & echo $! >{tmp_path}/pid; wait; }}\nmeanwhile beside beside"
    script = f"{BEGIN}{beside}\nstage First sleep 100\nstage Second echo too late\nsummary"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=ROOT,
            stdout=output,
            start_new_session=True,
            # Which they ignore whose shell has begun the tests in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    pid = tmp_path / "pid"
    wait_until(lambda: "First" in log.read_text() and pid.exists() and pid.read_text())
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert "stopped   First" in log.read_text()
    assert "too late" not in log.read_text()
    wait_until(lambda: not Path(f"/proc/{int(pid.read_text())}").exists())


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Make an environment whose programs do nothing but note how they are called; lint fails."""
    programs = tmp_path / "environment" / "bin"
    programs.mkdir(parents=True)
    for name, status in {"ruff": 1, "mypy": 0, "sphinx-build": 0, "pytest": 0}.items():
        (programs / name).write_text(f'#!/bin/sh\necho "called: {name} $*"\nexit {status}\n')
        (programs / name).chmod(0o755)
    return programs.parent


@pytest.mark.parametrize(
    ("option", "status", "expected"),
    [
        (
            "--quick",
            1,
            [
                "ruff check",
                "ruff format",
                "mypy",
                "pytest .* -m not slow$",
                "pytest .* -m not slow invenio-records-files/tests$",
            ],
        ),
        ("--docs", 0, ["sphinx-build .*-W", "pytest .*tests/test_docs.py .*", "pytest .*test_records_docs.py$"]),
    ],
)
def test_an_option_has_its_stages(environment: Path, option: str, status: int, expected: list[str]) -> None:
    done = subprocess.run(
        [ROOT / "run-tests.sh", option],
        env={**os.environ, "VENV": str(environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, "")
    calls = [line for line in done.stdout.splitlines() if line.startswith("called: ")]
    assert len(calls) == len(expected)
    for call, pattern in zip(calls, expected, strict=True):
        assert re.match(f"called: {pattern}", call)
    assert all("--databases sqlite" in call for call in calls if "pytest" in call)


@pytest.mark.parametrize("option", ["--quick", "--docs", "--coverage"])
def test_an_option_goes_alone(option: str) -> None:
    done = subprocess.run(
        [ROOT / "run-tests.sh", option, "-k", "bucket"],
        env={**os.environ, "VENV": sys.prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"run-tests.sh: {option} goes alone.\n"


UV = """#!/bin/sh
echo "called: uv $*"
if [ "$1" = venv ]; then
    for venv; do :; done
    mkdir -p "$venv/bin"
    printf '#!/bin/sh\n' >"$venv/bin/python"
    printf '#!/bin/sh\necho "called: $0 $*"\n' >"$venv/bin/pytest"
    chmod +x "$venv/bin/"*
fi
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the script, which makes environments beside itself."""
    for name in ("run-tests.sh", "scripts/environment.sh", "scripts/stages.sh"):
        copy = tmp_path / "checkout" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)
    return tmp_path / "checkout"


@pytest.mark.parametrize(
    ("arguments", "name", "python", "resolution"),
    [
        (["--lowest"], "lowest", "3.10", " --resolution lowest-direct"),
        (["--lowest", "python3.11"], "lowest", "python3.11", " --resolution lowest-direct"),
        (["--python", "3.14"], "3.14", "3.14", ""),
        (["--python", "/opt/python/bin/python3.15"], "python3.15", "/opt/python/bin/python3.15", ""),
    ],
)
def test_other_versions_are_tested_in_an_environment_of_their_own(
    environment: Path, checkout: Path, arguments: list[str], name: str, python: str, resolution: str
) -> None:
    (environment / "bin" / "uv").write_text(UV)
    (environment / "bin" / "uv").chmod(0o755)

    done = subprocess.run(
        [checkout / "run-tests.sh", *arguments],
        env={**os.environ, "VENV": str(environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    venv, records_files = checkout / f".venv-{name}", checkout / "invenio-records-files"
    not_slow = f"{venv}/bin/pytest .*--databases sqlite -m not slow"
    expected = [
        re.escape(f"uv venv -q --clear --python {python} {venv}"),
        re.escape(f"uv pip install -q --python {venv}/bin/python{resolution} --editable {checkout}[tests]")
        + re.escape(f" --editable {records_files}[tests]"),
        not_slow,
        f"{not_slow} invenio-records-files/tests",
    ]
    calls = [line.removeprefix("called: ") for line in done.stdout.splitlines() if line.startswith("called: ")]
    for call, pattern in zip(calls, expected, strict=True):
        assert re.fullmatch(pattern, call)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lowest", "3.10", "-k", "bucket"], "--lowest takes one Python, or none."),
        (["--python"], "--python takes one Python: --python 3.14"),
    ],
)
def test_other_versions_are_of_one_python(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [ROOT / "run-tests.sh", *arguments],
        env={**os.environ, "VENV": sys.prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"run-tests.sh: {message}\n")
