"""``examples/upload.py``: a large file arrives through four connections, however often either side is killed.

``TEST_UPLOAD_MIB`` sets the size of the large file: 1024 for the 1 GiB that the example is made for.
``TEST_UPLOAD_FILES`` sets how many files a folder has.
"""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from helpers.waiting import SECONDS, wait_until
from servers import HERE, Server, command, environment, free_port, serving
from servers.cutting import cutting

pytestmark = pytest.mark.slow

MIB = 1024**2
SIZE = int(os.environ.get("TEST_UPLOAD_MIB", "256"))
PART = 8
EXAMPLE = HERE.parent.parent / "examples" / "upload.py"
BLOCK = hashlib.shake_256(b"block").digest(MIB)


class Place:
    """A server that may be killed and started again, and a bucket."""

    def __init__(self, folder: Path) -> None:
        program = [sys.executable, str(HERE / "application.py")]
        buckets = subprocess.check_output(program, env=environment(folder), text=True).split()
        self.folder, self.port = folder, free_port()
        self.bucket = f"http://127.0.0.1:{self.port}/files/{buckets[0]}"
        self.locked = f"http://127.0.0.1:{self.port}/files/{buckets[1]}"

    @contextmanager
    def served(self, **settings: Any) -> Iterator[Server]:
        # More than the client has connections, so that questions meanwhile are answered at once.
        arguments = command("gunicorn", self.port, threads=8)
        assert arguments is not None
        with serving("gunicorn", arguments, self.port, self.folder, **settings) as server:
            yield server

    def uploads(self) -> list[Any]:
        return list(requests.get(f"{self.bucket}?uploads").json())

    def versions(self, key: str) -> list[str]:
        """Return the checksums of the versions of an object."""
        listed = requests.get(f"{self.bucket}?versions").json()["contents"]
        return [item["checksum"] for item in listed if item["key"] == key]

    def parts(self) -> dict[int, str]:
        """Return when each part of the only upload arrived."""
        uploads = self.uploads()
        if not uploads:
            return {}
        parts = requests.get(uploads[0]["links"]["self"]).json()["parts"]
        return {part["part_number"]: part["updated"] for part in parts}

    def wait_for_parts(self, count: int, client: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + SECONDS
        while len(self.parts()) < count:
            assert client.poll() is None, client.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a place whose server runs, and is left alone."""
    place = Place(tmp_path_factory.mktemp("served"))
    with place.served():
        yield place


def started(path: Path, bucket: str, *options: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, str(EXAMPLE), str(path), bucket, "--part-size", str(PART), *options]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def uploaded(path: Path, bucket: str, *options: str) -> tuple[int, str, str]:
    process = started(path, bucket, *options)
    output, errors = process.communicate(timeout=100)
    return process.returncode, output, errors


def made(path: Path, size: int) -> str:
    """Make a file of so many MiB, all different, and return its checksum."""
    digest = hashlib.md5()
    with path.open("wb") as file:
        for number in range(size):
            block = number.to_bytes(8, "big") + BLOCK[8:]
            digest.update(block)
            file.write(block)
    return f"md5:{digest.hexdigest()}"


def test_a_large_file_arrives_though_client_and_server_are_killed(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "large file.bin"
    checksum = made(path, SIZE)
    count = -(-SIZE // PART)
    with place.served() as server:
        first = started(path, place.bucket)
        place.wait_for_parts(count // 8, first)
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=60)
        assert first.returncode == 130
        assert "The same command goes on" in errors
        assert "Traceback" not in errors
        interrupted = place.parts()
        assert count // 8 <= len(interrupted) < count

        second = started(path, place.bucket)
        place.wait_for_parts(len(interrupted) + count // 8, second)
        second.kill()
        second.communicate(timeout=60)
        killed = place.parts()
        assert len(interrupted) < len(killed) < count

        third = started(path, place.bucket)
        place.wait_for_parts(len(killed) + 1, third)
        for process in server.processes():
            os.kill(process, signal.SIGKILL)
    with place.served():
        output, errors = third.communicate(timeout=100)
        assert third.returncode == 0, errors
        url = f"{place.bucket}/large%20file.bin"
        assert output == f"{url}\n"
        answer = requests.head(url)
        assert answer.headers["ETag"] == f'"{checksum}"'
        assert answer.headers["Content-Length"] == str(SIZE * MIB)
        digest = hashlib.md5()
        with requests.get(url, stream=True) as download:
            for block in download.iter_content(MIB):
                digest.update(block)
        assert f"md5:{digest.hexdigest()}" == checksum
        assert place.uploads() == []
        # The parts that had arrived were not sent again.
        assert interrupted.items() <= killed.items()
        versions = requests.get(f"{place.bucket}?versions").json()
        assert [item["checksum"] for item in versions["contents"]] == [checksum]
        assert versions["size"] == SIZE * MIB


def test_a_small_file_is_one_request(served: Place, tmp_path: Path) -> None:
    path = tmp_path / "ž small.txt"
    path.write_bytes(b"small")
    code, output, errors = uploaded(path, served.bucket, "--key", "folder/ž small.txt")
    assert (code, output) == (0, f"{served.bucket}/folder/%C5%BE%20small.txt\n"), errors
    assert requests.get(output.strip()).content == b"small"


def test_the_scheme_of_a_url_may_be_in_capitals(served: Place, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"1")
    code, _, errors = uploaded(path, served.bucket.replace("http", "HTTP", 1))
    assert (code, errors) == (0, "")


def test_an_identifier_in_place_of_the_url_of_a_bucket_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"1")
    code, _, errors = uploaded(path, "3c3f2e4a-6ad8-4e19-9d5b-35a1f6a7a9c3")
    assert code == 2
    assert "is no URL of a bucket, such as https://example.org/api/files/<id>" in errors


@pytest.mark.parametrize("size", [2 * PART, 2 * PART + 1])
def test_the_last_part_may_be_full_or_not(served: Place, tmp_path: Path, size: int) -> None:
    path = tmp_path / f"{size}.bin"
    checksum = made(path, size)
    code, output, errors = uploaded(path, served.bucket)
    assert code == 0, errors
    assert requests.head(output.strip()).headers["ETag"] == f'"{checksum}"'


def test_a_file_that_has_changed_since_arrives_as_it_is_now(served: Place, tmp_path: Path) -> None:
    path = tmp_path / "changed.bin"
    made(path, 3 * PART)
    begun = requests.post(f"{served.bucket}/changed.bin?uploads&size={3 * PART * MIB}&partSize={PART * MIB}").json()
    with path.open("rb") as file:
        body = file.read(PART * MIB)
    assert requests.put(f"{begun['links']['self']}&partNumber=0", data=body).status_code == 200
    with path.open("r+b") as file:
        file.write(b"changed")
    code, output, errors = uploaded(path, served.bucket)
    assert code == 0, errors
    checksum = hashlib.md5(path.read_bytes()).hexdigest()
    assert requests.head(output.strip()).headers["ETag"] == f'"md5:{checksum}"'


@pytest.mark.parametrize("size", [1, 3 * PART])
def test_a_refusal_is_told_at_once(served: Place, tmp_path: Path, size: int) -> None:
    path = tmp_path / "refused.bin"
    made(path, size)
    code, _, errors = uploaded(path, served.locked)
    assert code == 1
    assert "403: Bucket is locked" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("algorithm", ["sha256", "blake2b", "blake3"])
def test_it_succeeds_whatever_the_server_hashes_with_and_again_adds_no_version(
    place: Place, tmp_path: Path, algorithm: str
) -> None:
    """Python has the first two algorithms, and not the last one."""
    with place.served(FILES_REST_CHECKSUM_ALGORITHM=algorithm):
        for size in (1, PART + 1):
            path = tmp_path / f"{algorithm}-{size}.bin"
            made(path, size)
            for _ in range(2):
                code, output, errors = uploaded(path, place.bucket)
                assert (code, output) == (0, f"{place.bucket}/{path.name}\n"), errors
                assert requests.get(output.strip()).content == path.read_bytes()
                (version,) = place.versions(path.name)
                assert version.startswith(f"{algorithm}:")
            # The same size is not the same file.
            with path.open("r+b") as file:
                file.write(b"other")
            assert uploaded(path, place.bucket)[0] == 0
            assert len(place.versions(path.name)) == 2


def test_parts_that_have_arrived_are_not_sent_again_whatever_they_are_hashed_with(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "parts.bin"
    made(path, 3 * PART)
    with place.served(FILES_REST_CHECKSUM_ALGORITHM="sha256"):
        begun = requests.post(f"{place.bucket}/parts.bin?uploads&size={3 * PART * MIB}&partSize={PART * MIB}").json()
        part = f"{begun['links']['self']}&partNumber=0"
        assert requests.put(part, data=path.read_bytes()[: PART * MIB]).status_code == 200
        client = Path(__file__).parent.parent / "examples"
        program = (
            "import runpy, sys, requests\n"
            "send = requests.Session.request\n"
            "def told(self, method, url, **kwargs):\n"
            "    print(method, url, file=sys.stderr)\n"
            "    return send(self, method, url, **kwargs)\n"
            "requests.Session.request = told\n"
            "sys.argv[0] = 'upload.py'\n"
            f"runpy.run_path({str(client / 'upload.py')!r}, run_name='__main__')\n"
        )
        arguments = [sys.executable, "-c", program, str(path), place.bucket, "--part-size", str(PART)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [number for number in range(3) if f"partNumber={number}" in done.stderr] == [1, 2]


def test_a_large_file_arrives_by_tus_though_the_connection_breaks_and_the_client_is_stopped(
    served: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, size = tmp_path / "by tus.bin", 4 * PART
    checksum = made(path, size)
    with cutting(served.port, [size * MIB // 4], pace=size * MIB / 6) as between:
        bucket = served.bucket.replace(str(served.port), str(between.port))
        first = started(path, bucket, "--tus")
        wait_until(lambda: between.passed > size * MIB // 2, first.poll)
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=60)
        assert first.returncode == 130, errors
        assert "Traceback" not in errors
        assert served.versions(path.name) == []
        code, output, errors = uploaded(path, bucket, "--tus")
        assert (code, output) == (0, f"{bucket}/by%20tus.bin\n"), errors
        assert served.versions(path.name) == [checksum]
        assert between.cuts == 1
        assert between.passed < 1.5 * size * MIB
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_folder_of_many_files_arrives_once(served: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, expected = tmp_path / "folder", {}
    count = int(os.environ.get("TEST_UPLOAD_FILES", "100"))
    for number in range(count - 1):
        path = folder / f"{number % 10}" / f"žluť {number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}")
        expected[f"of/{path.relative_to(folder)}"] = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
    expected["of/large.bin"] = made(folder / "large.bin", PART + 1)
    options = ("--tus", "--key", "of/", "--parallel", "6")
    (folder / "1" / ".broken").symlink_to(folder / "nowhere")
    bad = folder / os.fsdecode(b"not \xff.txt")
    bad.write_text("refused")
    code, output, errors = uploaded(folder, served.bucket, *options)
    assert code == 1
    assert "--key" in errors
    assert "Traceback" not in errors
    assert len(output.splitlines()) == count
    bad.unlink()
    code, _, errors = uploaded(folder, served.bucket, *options)
    assert code == 0, errors
    listed = requests.get(f"{served.bucket}?versions&prefix=of/", timeout=60).json()["contents"]
    found = [(each["key"], each["checksum"]) for each in listed if each["key"].startswith("of/")]
    assert sorted(found) == sorted(expected.items())


@pytest.mark.parametrize("size", [1, PART + 1])
def test_who_may_not_read_may_upload(place: Place, tmp_path: Path, size: int) -> None:
    path = tmp_path / f"hidden-{size}.bin"
    checksum = made(path, size)
    with place.served(FILES_REST_PERMISSION_FACTORY="owner.all_but_reading"):
        code, _, errors = uploaded(path, place.bucket)
        assert code == 0, errors
        assert place.versions(path.name) == [checksum]


def test_a_name_that_is_not_in_utf_8_is_told(served: Place, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"not \xff.txt")
    path.write_bytes(b"content")
    code, output, errors = uploaded(path, served.bucket)
    assert (code, output) == (1, "")
    assert "--key" in errors
    assert "Traceback" not in errors
    assert uploaded(path, served.bucket, "--key", "named.txt")[0] == 0


def test_an_answer_that_is_lost_adds_no_second_version(tmp_path: Path) -> None:
    stored: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200 if stored else 404)
            for content in stored:
                self.send_header("ETag", f'"md5:{hashlib.md5(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_PUT(self) -> None:
            stored.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    path = tmp_path / "a"
    path.write_bytes(b"content")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        code, _, errors = uploaded(path, f"http://127.0.0.1:{listener.server_port}/bucket")
        listener.shutdown()
    assert code == 0, errors
    assert stored == [b"content"]


@pytest.mark.parametrize("key", ["..", "../other/x", "a/.", "./a"])
def test_a_key_that_would_lead_elsewhere_is_refused(served: Place, tmp_path: Path, key: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a")
    before = requests.get(f"{served.bucket}?versions").json()
    code, output, errors = uploaded(path, served.bucket, "--key", key)
    assert (code, output) == (1, "")
    assert f"{key} cannot be the key" in errors
    assert "Traceback" not in errors
    assert requests.get(f"{served.bucket}?versions").json() == before


def test_a_server_that_is_away_is_told(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "away.bin"
    made(path, 3 * PART)
    code, _, errors = uploaded(path, place.bucket, "--attempts", "2")
    assert code == 1
    assert "failed 2 times" in errors
    assert "Traceback" not in errors


def test_the_token_is_sent_from_option_and_environment(place: Place, tmp_path: Path) -> None:
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_error(403)

        def log_message(self, *args: Any) -> None:
            pass

    path = tmp_path / "a"
    path.write_bytes(b"a")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{listener.server_port}/bucket"
        assert uploaded(path, url, "--token", "option")[0] == 1
        environ = os.environ | {"FILES_TOKEN": "variable"}
        subprocess.run([sys.executable, str(EXAMPLE), str(path), url], env=environ, capture_output=True, check=False)
        listener.shutdown()
    assert seen == ["Bearer option", "Bearer variable"]
