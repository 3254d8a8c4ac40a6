"""What the documentation shows of multipart uploads: every line of it runs, as it stands."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from helpers.pages import dialogue
from servers.instance import Server, serving

DOCS = Path(__file__).parent.parent / "docs" / "howto" / "uploads.rst"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOCUMENTED = """
dd if=/dev/urandom of=my_file.txt bs=1048576 count=11
split -b6291456 my_file.txt segment_
curl -X POST http://localhost:5000/api/files > bucket.json
B=$(python3 -c 'import json; print(json.load(open("bucket.json"))["id"])')
curl -i -X POST \\
  "http://localhost:5000/api/files/$B/my_file.txt?uploads&size=11534336&partSize=6291456" > begun
U=$(tail -n 1 begun | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
curl -i -X PUT --data-binary @segment_aa \\
  "http://localhost:5000/api/files/$B/my_file.txt?uploadId=$U&partNumber=0"
curl -i -X PUT --data-binary @segment_ab \\
  "http://localhost:5000/api/files/$B/my_file.txt?uploadId=$U&partNumber=1"
curl -i -X POST \\
  "http://localhost:5000/api/files/$B/my_file.txt?uploadId=$U"
"""
"""The walk as the documentation has had it since 1.0, and the identifiers taken from the answers."""

ABORT = """
curl -i -X DELETE \\
  "http://localhost:5000/api/files/$B/my_file.txt?uploadId=$U"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder / "log", "--open", "--instance", str(folder / "instance")) as server:
        yield server


def run(script: str, server: Server, folder: Path) -> str:
    """Run lines in a shell, against the port that is free."""
    assert "localhost:5000" in script
    script = script.replace("localhost:5000", server.url.removeprefix("http://").replace("127.0.0.1", "localhost"))
    done = subprocess.run(["bash", "-euo", "pipefail"], input=script, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documented_walk_works_word_for_word(server: Server, tmp_path: Path) -> None:
    output = run(DOCUMENTED, server, tmp_path)
    assert output.count("200 OK") == 3
    begun = json.loads((tmp_path / "begun").read_text().splitlines()[-1])
    assert (begun["last_part_number"], begun["last_part_size"], begun["part_size"]) == (1, 5242880, 6291456)
    content = (tmp_path / "my_file.txt").read_bytes()
    answer = requests.get(begun["links"]["object"])
    assert answer.content == content
    assert answer.headers["ETag"] == f'"md5:{hashlib.md5(content).hexdigest()}"'


def test_the_documented_walk_may_be_aborted(server: Server, tmp_path: Path) -> None:
    begun, _, _ = DOCUMENTED.partition("curl -i -X PUT --data-binary @segment_ab")
    assert "204 NO CONTENT" in run(begun + ABORT, server, tmp_path)
    bucket = json.loads((tmp_path / "bucket.json").read_text())
    answer = requests.get(bucket["links"]["self"]).json()
    assert (answer["size"], answer["contents"]) == (0, [])
    assert requests.get(bucket["links"]["uploads"]).json() == []


def walk(page: str = "howto/uploads") -> list[str]:
    """Return the lines of our documentation that a reader is to run."""
    return [command for command, _ in dialogue(page)]


def test_the_lines_on_resumable_uploads_work(server: Server, tmp_path: Path) -> None:
    lines = walk("howto/resumable")
    assert sum("curl" in line for line in lines) == 9
    answer = json.loads(run("\n".join(lines), server, tmp_path))
    assert (answer["key"], answer["size"]) == ("draft.txt", 4 * 1024**2)
    # What broke off has not come a second time.
    assert 0 < (tmp_path / "rest").stat().st_size < 4 * 1024**2


def test_pages_of_other_sites_may_upload_and_see_what_they_need(server: Server) -> None:
    bucket = requests.post(f"{server.url}/api/files").json()["id"]
    url, origin = f"{server.url}/api/files/{bucket}", {"Origin": "http://localhost:8000"}
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "tus-resumable,upload-offset"}
    preflight = requests.options(f"{url}?uploadId=x", headers={**origin, **asked})
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert "upload-offset" in preflight.headers["Access-Control-Allow-Headers"]
    answer = requests.options(url, headers=origin)
    documented = re.search(r"CORS_EXPOSE_HEADERS = \[(.*?)\]", DOCS.with_name("resumable.rst").read_text(), re.S)
    assert documented
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert set(re.findall(r'"(.*?)"', documented[1])) <= exposed
    assert {name for name in answer.headers if name.startswith(("Tus-", "Upload-"))} <= exposed


def test_the_lines_of_our_documentation_work(server: Server, tmp_path: Path) -> None:
    lines = walk()
    assert sum("curl" in line for line in lines) == DOCS.read_text().count("curl -")
    output = run("\n".join(lines), server, tmp_path)
    listed, _ = json.JSONDecoder().raw_decode(output[output.index('{\n  "parts": ') :])
    assert [part["part_number"] for part in listed["parts"]] == [0]
    assert '"object_version"' in output
    assert '"status"' not in output


def test_the_schedule_names_a_task() -> None:
    from celery import current_app

    import invenio_files_rest.tasks

    names = re.findall(r'"task": "([\w.]+)"', DOCS.read_text())
    assert names == ["invenio_files_rest.tasks.remove_expired_multipartobjects"]
    assert invenio_files_rest.tasks.remove_expired_multipartobjects.name in current_app.tasks
    assert {invenio_files_rest.tasks.remove_expired_multipartobjects.name} == set(names)
