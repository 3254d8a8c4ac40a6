"""What scripts/release.sh builds holds what it must and nothing else, and serves where there is no checkout."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from email.parser import Parser
from pathlib import Path
from urllib.parse import urljoin
from uuid import uuid4

import pytest
import requests
from servers.instance import EMAIL, Instance, Server, serving

import invenio_files_rest

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {"invenio_files_rest": ".", "invenio_records_files": "invenio-records-files"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs Git, which knows what belongs to a release"),
]


class Release:
    """What the script has left.

    :param folder: The folder for what is published.
    :param installed: The environment that the wheels are in.
    """

    def __init__(self, folder: Path, installed: Path) -> None:
        """Find the files."""
        self.folder, self.installed = folder, installed

    def wheel(self, package: str) -> zipfile.ZipFile:
        (path,) = self.folder.glob(f"{package}-*.whl")
        return zipfile.ZipFile(path)

    def sdist(self, package: str) -> tarfile.TarFile:
        (path,) = self.folder.glob(f"{package}-*.tar.gz")
        return tarfile.open(path)

    def metadata(self, package: str) -> Message:
        with self.wheel(package) as wheel:
            (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            return Parser().parsestr(wheel.read(name).decode())


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Build a release of the files as they are."""
    folder, installed = tmp_path_factory.mktemp("release"), tmp_path_factory.mktemp("environment") / "installed"
    done = subprocess.run(
        [ROOT / "scripts" / "release.sh", "--uncommitted", folder],
        env={**os.environ, "INSTALLED": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Release(folder, installed)


def tracked(folder: str) -> set[str]:
    """Return the files below a folder that Git knows, by their paths from there."""
    output = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT / folder, text=True)
    return {name for name in output.split("\0") if name and (ROOT / folder / name).exists()}


def test_a_release_is_two_distributions_and_a_bill(release: Release) -> None:
    ours, records = (release.metadata(package)["Version"] for package in DISTRIBUTIONS)
    assert ours == invenio_files_rest.__version__
    assert {path.name for path in release.folder.iterdir()} == {
        f"invenio_files_rest-{ours}-py3-none-any.whl",
        f"invenio_files_rest-{ours}.tar.gz",
        f"invenio_records_files-{records}-py3-none-any.whl",
        f"invenio_records_files-{records}.tar.gz",
        "invenio-files-rest.cdx.json",
    }


@pytest.mark.parametrize("package", DISTRIBUTIONS)
def test_a_wheel_has_the_files_of_its_package_and_no_other(release: Release, package: str) -> None:
    with release.wheel(package) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licences = [name for name in wheel.namelist() if re.search(r"\.dist-info/licenses/LICENSE$", name)]
        assert {name for name in tracked(DISTRIBUTIONS[package]) if name.startswith(f"{package}/")} == names
        assert wheel.read(licences[0]) == (ROOT / "LICENSE").read_bytes()
    assert f"{package}/py.typed" in names


@pytest.mark.parametrize("package", DISTRIBUTIONS)
def test_an_sdist_has_the_files_of_its_folder_and_no_other(release: Release, package: str) -> None:
    with release.sdist(package) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    made = {name for name in names if name == "PKG-INFO" or f"{package}.egg-info/" in name}
    assert names - made - {"setup.cfg"} == tracked(DISTRIBUTIONS[package]) - {".gitignore", "setup.cfg"}


@pytest.mark.parametrize("package", DISTRIBUTIONS)
def test_the_metadata_tell_what_an_index_shows(release: Release, package: str) -> None:
    metadata = release.metadata(package)
    assert metadata["Name"] == package.replace("_", "-")
    assert metadata["Requires-Python"] == ">=3.10"
    assert (metadata["License-Expression"], metadata.get_all("License-File")) == ("MIT", ["LICENSE"])
    assert metadata["Description-Content-Type"] == "text/x-rst"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert "tests" in metadata.get_all("Provides-Extra", [])
    assert len(metadata.get_all("Requires-Dist", [])) > 10


def test_the_bill_has_what_is_installed_and_its_licences(release: Release) -> None:
    text = (release.folder / "invenio-files-rest.cdx.json").read_text()
    bill = json.loads(text)
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"]) == ("invenio-files-rest", invenio_files_rest.__version__)
    (site,) = release.installed.glob("lib/python*/site-packages")
    installed = {path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info")}
    components = [own, *bill["components"]]
    assert len(components) == len(installed) > 100
    # What declares none is looked at by whoever publishes.
    assert {c["name"] for c in components if not c.get("licenses")} <= {"maxminddb-geolite2"}
    needed = {d["ref"]: d.get("dependsOn", []) for d in bill["dependencies"]}
    assert any(ref.lower().startswith("werkzeug==") for ref in needed[own["bom-ref"]])
    assert str(release.folder) not in text
    assert str(ROOT) not in text


@pytest.fixture(scope="module")
def server(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve an instance from the installed wheels, where there is no source but that of the server's own set-up."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("scripts", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    shutil.copy(ROOT / "run-server.sh", folder)
    instance = str(folder / "instance")
    with serving(
        folder / "log",
        "--instance",
        instance,
        program=folder / "run-server.sh",
        VENV=str(release.installed),
        PYTHONPATH="",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def instance(server: Server) -> Instance:
    return Instance(server.url, server.log.parent / "instance")


@pytest.fixture(scope="module")
def browser(instance: Instance) -> requests.Session:
    """Log in as the administrator."""
    session = requests.Session()
    page = session.get(f"{instance.url}/login/", timeout=60)
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page.text)
    form = {"email": EMAIL, "password": instance.password, "csrf_token": token[1] if token else ""}
    answer = session.post(f"{instance.url}/login/", data=form, timeout=60)
    assert answer.ok
    return session


def test_what_is_installed_is_no_checkout(release: Release) -> None:
    program = "import invenio_files_rest, invenio_records_files as r; print(invenio_files_rest.__file__, r.__file__)"
    output = subprocess.check_output(
        [release.installed / "bin" / "python", "-c", program], cwd="/", env={**os.environ, "PYTHONPATH": ""}, text=True
    )
    assert all(path.startswith(str(release.installed)) for path in output.split())


@pytest.fixture(scope="module")
def bucket(instance: Instance) -> str:
    """Make a bucket, and return its URL."""
    made = requests.post(f"{instance.url}/api/files", headers=instance.authorization, timeout=60)
    return made.json()["links"]["self"]


def test_what_is_installed_stores_and_serves_files(instance: Instance, bucket: str) -> None:
    data = os.urandom(100_000)
    for url in (f"{bucket}/a.bin", f"{instance.url}/api/records/1/files/a.bin"):
        stored = requests.put(url, data=data, headers=instance.authorization, timeout=60)
        assert (stored.status_code, stored.json()["checksum"]) == (200, f"md5:{hashlib.md5(data).hexdigest()}")
        assert requests.get(url, headers=instance.authorization, timeout=60).content == data


def test_what_is_installed_describes_itself(instance: Instance) -> None:
    description = requests.get(f"{instance.url}/api/files/openapi.json", headers=instance.authorization, timeout=60)
    assert description.json()["openapi"].startswith("3.1")
    assert any("records" in path for path in description.json()["paths"])


def test_what_is_installed_speaks_other_languages(instance: Instance) -> None:
    """Catalogues are compiled, in the wheels, and found."""
    headers = {**instance.authorization, "Accept-Language": "de"}
    refused = requests.get(f"{instance.url}/api/files/{uuid4()}", headers=headers, timeout=60)
    assert (refused.status_code, refused.json()["message"]) == (404, "Den Bucket oder das Objekt gibt es nicht.")


def linked(page: requests.Response) -> set[str]:
    """Return the styles, scripts and pictures that a page loads."""
    tags = re.findall(r'<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]+)"', page.text)
    return {urljoin(page.url, url) for url in tags}


@pytest.mark.parametrize("path", ["/", "/buckets/{bucket}", "/admin/bucket/", "/admin/objectversion/"])
def test_pages_of_what_is_installed_have_their_styles_and_scripts(
    instance: Instance, bucket: str, browser: requests.Session, path: str
) -> None:
    page = browser.get(f"{instance.url}{path.format(bucket=bucket.rpartition('/')[2])}", timeout=60)
    assert page.status_code == 200
    found = {url: browser.get(url, timeout=60).status_code for url in linked(page)}
    assert found
    assert set(found.values()) == {200}, found


def test_the_tables_of_what_is_installed_are_those_of_its_migrations(release: Release, instance: Instance) -> None:
    (package,) = release.installed.glob("lib/python*/site-packages/invenio_files_rest")
    revisions = "\n".join(path.read_text() for path in (package / "alembic").glob("*.py"))
    heads, below = (set(re.findall(rf'^{name} = "(\w+)"', revisions, re.M)) for name in ("revision", "down_revision"))
    with closing(sqlite3.connect(instance.folder / "files.db")) as database:
        upgraded = {row[0] for row in database.execute("SELECT version_num FROM alembic_version")}
    assert heads - below
    assert heads - below <= upgraded
