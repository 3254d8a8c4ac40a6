"""pip keeps a published package beside one of ours: files of records are served by either with either."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
OURS = {"invenio_files_rest": HERE.parents[1], "invenio_records_files": HERE.parent}
PUBLISHED = {
    "invenio_files_rest": ["invenio-files-rest==6.1.0", "click-default-group==1.2.4"],
    "invenio_records_files": ["invenio-records-files==4.0.1"],
}


@pytest.fixture
def published(request: pytest.FixtureRequest) -> dict[str, Path]:
    """Install published packages, each in a folder of its own, which is kept for the next time."""
    cache = request.config.cache
    assert cache is not None
    kept = cache.mkdir("published")
    return {name: installed(PUBLISHED[name], kept / "-".join(PUBLISHED[name])) for name in request.param}


def installed(requirements: list[str], folder: Path) -> Path:
    if folder.exists():
        return folder
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    pip = ["pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--retries=1", "--timeout=10"]
    result = subprocess.run(
        [sys.executable, "-m", *pip, "--target", str(made), *requirements], capture_output=True, text=True, check=False
    )
    if result.returncode:
        shutil.rmtree(made)
        pytest.skip(f"pip cannot install {', '.join(requirements)}: {result.stderr.strip()[-200:]}")
    made.rename(folder)
    return folder


@pytest.mark.parametrize(
    "published",
    [(), ("invenio_records_files",), ("invenio_files_rest",)],
    ids=["ours on ours", "published records-files on our files-rest", "our records-files on published files-rest"],
    indirect=True,
)
def test_the_files_of_a_record_are_served(published: dict[str, Path], tmp_path: Path):
    folders = OURS | published
    # The first of two distributions of one name is the one whose entry points count.
    path = os.pathsep.join(map(str, [*published.values(), *OURS.values()]))
    walk = subprocess.run(
        [sys.executable, str(HERE / "walk.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert walk.returncode == 0, walk.stderr[-5000:]
    assert walk.stdout.split() == [str(folders[name] / name / "__init__.py") for name in OURS]
