"""PyFilesystem is imported whatever setuptools there is."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(code: str, *options: str) -> str:
    """Run Python code in a process of its own, and return what it prints."""
    command = [sys.executable, *options, "-c", textwrap.dedent(code)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip() + result.stderr.strip()


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "pkg_resources" or name.startswith("setuptools"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
"""

OLD = """
import sys, types, warnings
old = types.ModuleType("pkg_resources")
def declare_namespace(name):
    warnings.warn("Deprecated call to declare_namespace", DeprecationWarning)
old.declare_namespace = declare_namespace
sys.modules["pkg_resources"] = old
"""


STRICT = r"""
import warnings
warnings.filterwarnings("error", message=".*(pkg_resources|declare_namespace)")
warnings.filterwarnings("error", module=r"(fs|invenio_files_rest)(\.|$)")
"""


def test_the_storage_is_imported_without_setuptools_and_without_a_warning() -> None:
    code = STRICT + BLOCKED + "import invenio_files_rest.storage; print('pkg_resources' in sys.modules)"
    assert run(code) == "False"


def test_an_old_pkg_resources_stays_and_is_not_asked() -> None:
    code = STRICT + OLD + "import invenio_files_rest.storage; print(sys.modules['pkg_resources'] is old)"
    assert run(code) == "True"


def test_openers_of_other_packages_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "otherfs.py").write_text(
        "from fs.opener import Opener\nfrom fs.memoryfs import MemoryFS\n"
        "class OtherOpener(Opener):\n    protocols = ['other']\n    kept = MemoryFS()\n"
        "    def open_fs(self, fs_url, parse_result, writeable, create, cwd):\n"
        "        resource = parse_result.resource\n"
        "        return self.kept.makedirs(resource, recreate=True) if create else self.kept.opendir(resource)\n"
    )
    metadata = tmp_path / "otherfs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: otherfs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fs.opener]\nother = otherfs:OtherOpener\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = """
    import io
    from invenio_files_rest.storage import PyFSFileStorage
    PyFSFileStorage("other://ab/cd/data").save(io.BytesIO(b"content"))
    print(PyFSFileStorage("other://ab/cd/data").open().read())
    """
    assert run(code) == "b'content'"
