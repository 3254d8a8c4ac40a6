"""What the guides show works as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

GUIDE = Path(__file__).parent / "data" / "guide.txt"
README = Path(__file__).parents[1] / "README.rst"
PAGE = Path(__file__).parents[2] / "docs" / "records" / "usage.rst"


def run(*arguments: str, folder: Path) -> str:
    """Run Python in a process and a folder of its own."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_of_earlier_versions_runs_as_written(tmp_path: Path):
    assert "\nTest passed.\n" in run("-m", "doctest", "-v", str(GUIDE), folder=tmp_path)


def test_the_page_on_files_of_records_runs(tmp_path: Path):
    blocks = re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text(), re.MULTILINE)
    assert len(blocks) > 10
    printed = run("-c", "".join(map(textwrap.dedent, blocks)), folder=tmp_path)
    assert printed == "reserved: 'key'\n"
    assert (tmp_path / "data").is_dir()


def test_the_python_of_the_readme_runs(tmp_path: Path):
    """It begins where the page has made an application."""
    application, *_ = re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text(), re.MULTILINE)
    (shown,) = re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", README.read_text(), re.MULTILINE)
    code = textwrap.dedent(application) + textwrap.dedent(shown) + "print(record.files.dumps()[0]['pages'])\n"
    assert run("-c", code, folder=tmp_path) == "120\n"
