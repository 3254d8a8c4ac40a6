#!/usr/bin/env python3
"""Upload files to a bucket of Invenio-Files-REST: in parallel, and on from where it was after a stop.

``upload.py FILE BUCKET``, where BUCKET is the bucket's URL, e.g. https://example.org/api/files/<id>, and FILE may be a
folder. A large file goes in parts, or with ``--tus`` as one run of bytes. The same command again goes on with what is
missing: the server knows what it has. It needs nothing but ``requests``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Container, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

MIB = 1024**2
BLOCK = MIB
MOST_PARTS = 10_000
"""Largest number of parts that the server takes, unless it has been set otherwise."""
RETRIED = {409, 423, 429, 500, 502, 503, 504, 507}
"""Statuses after which the same request may succeed: with 409 and 423 an earlier connection still writes."""
REFUSED = frozenset(range(400, 600)) - RETRIED
"""All other statuses of errors."""
ALGORITHMS = ("md5", "sha256", "sha512", "blake2b")
"""Algorithms of the server's checksums that Python has, too."""
TUS = {"Tus-Resumable": "1.0.0"}
KNOWN = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "invenio-files-rest" / "uploads"
"""Folder of the URLs of uploads by tus that have begun."""


class UploadError(Exception):
    """The upload cannot succeed; the message says why."""


class Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """Another thread has ended the upload."""


class Progress:
    """A bar on the terminal.

    :param size: Bytes of the whole file.
    :param shown: Whether to draw it.
    """

    def __init__(self, size: int, shown: bool) -> None:
        """Begin at zero."""
        self.size, self.done, self.sent, self.shown = size, 0, 0, shown
        self._lock = threading.Lock()
        self._start, self._drawn = time.monotonic(), 0.0

    def add(self, count: int, sent: bool = True) -> None:
        """Count bytes, negative ones where they have to be sent again."""
        with self._lock:
            self.done += count
            self.sent += count if sent else 0
            now = time.monotonic()
            if self.shown and (now - self._drawn > 0.2 or self.done == self.size):
                self._drawn = now
                part = self.done / self.size
                speed = self.sent / MIB / max(now - self._start, 0.001)
                bar = ("#" * int(part * 40)).ljust(40)
                end = "\n" if self.done == self.size else ""
                print(f"\r[{bar}] {part:4.0%} {speed:7.1f} MiB/s ", end=end, file=sys.stderr, flush=True)


class Slice:
    """A part of a file, as ``requests`` sends it: with a length, and read block by block.

    :param read: Called with the number of bytes whenever some are read; what it raises ends the reading.
    """

    def __init__(self, path: Path, start: int, size: int, read: Callable[[int], None]) -> None:
        """Open the file."""
        self.file = path.open("rb")
        self.file.seek(start)
        self.size = self.left = size
        self._read = read

    def __len__(self) -> int:
        return self.left

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(BLOCK):
            yield block

    def read(self, count: int = -1) -> bytes:
        """Read at most so many bytes."""
        block = self.file.read(min(self.left, BLOCK if count < 0 else count))
        self.left -= len(block)
        self._read(len(block))
        return block

    def digest(self, algorithm: str) -> Any:
        """Read it all, and return its digest."""
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for block in self:
            digest.update(block)
        self.file.close()
        return digest


class Client:
    """Requests that are made again where the network or the server fails.

    :param token: Token of the caller.
    :param attempts: How often a request is made at most.
    """

    def __init__(self, token: str | None, attempts: int) -> None:
        """Keep the arguments; each thread has connections of its own."""
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.attempts = attempts
        self.stopped = threading.Event()
        self._local = threading.local()

    def go_on(self, seconds: float = 0) -> None:
        """Wait, unless or until another thread has ended the upload."""
        if self.stopped.wait(seconds):
            raise Stopped

    def request(
        self,
        method: str,
        url: str,
        make: Callable[[], dict[str, Any]] = dict,
        ok: Container[int] = (),
        done: Callable[[], Any] = lambda: False,
    ) -> Any:
        """Make a request, and return the response.

        :param make: Makes the arguments of ``requests``, anew for each attempt.
        :param ok: Statuses over 399 to return, not to raise.
        :param done: Tells before another attempt whether one whose answer was lost has succeeded: then there is none.
        :raises UploadError: If the server refuses it, or does not answer after all.
        """
        for attempt in range(1, self.attempts + 1):
            if attempt > 1 and done():
                return None
            if not hasattr(self._local, "session"):
                self._local.session = requests.Session()
            arguments = {"timeout": (10, 900)} | make()
            headers = self.headers | arguments.pop("headers", {})
            try:
                response = self._local.session.request(method, url, headers=headers, **arguments)
            except requests.RequestException as error:
                problem = f"{type(error).__name__}: {error}"
                del self._local.session
            else:
                if response.ok or response.status_code in ok:
                    return response
                problem = f"{response.status_code}: {_message(response)}"
                if response.status_code not in RETRIED:
                    raise UploadError(f"{method} {url} was refused, {problem}")
            if attempt < self.attempts:
                self.go_on(random.uniform(0.5, 1) * min(30, 2 ** (attempt - 1)))
        raise UploadError(f"{method} {url} failed {self.attempts} times, at last with {problem}")


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason


def content_md5(digest: Any) -> dict[str, str]:
    """Return the header by which the server verifies what it gets (RFC 1864)."""
    return {"Content-MD5": base64.b64encode(digest.digest()).decode()}


def is_stored(client: Client, url: str, path: Path) -> bool | None:
    """Tell whether an object has the bytes of a file; ``None`` where there is none, or it is hidden from us."""
    # Compressed on the way, an answer would tell neither size nor checksum.
    plain = {"headers": {"Accept-Encoding": "identity"}}
    answer = client.request("HEAD", url, lambda: plain, ok=REFUSED)
    if not answer.ok:
        return None
    size = path.stat().st_size
    if int(answer.headers.get("Content-Length", size)) != size:
        return False
    algorithm, _, checksum = answer.headers.get("ETag", "").strip('"').partition(":")
    if algorithm in ALGORITHMS:
        return bool(Slice(path, 0, size, lambda count: None).digest(algorithm).hexdigest() == checksum)
    # The server has an algorithm that we do not: the bytes themselves tell.
    answer = client.request("GET", url, lambda: plain | {"stream": True})
    try:
        with answer, path.open("rb") as file:
            same = all(file.read(len(block)) == block for block in answer.iter_content(BLOCK))
            return same and not file.read(1)
    except requests.RequestException as error:
        raise UploadError(f"The object could not be compared with the file: {error}") from error


def find_upload(client: Client, bucket: str, key: str, size: int) -> dict[str, Any] | None:
    """Return the upload that an earlier run has begun, with its parts; ``None`` where there is none."""
    for upload in client.request("GET", f"{bucket}?uploads").json():
        if (upload["key"], upload["size"], upload["completed"]) == (key, size, False):
            found: dict[str, Any] = client.request("GET", upload["links"]["self"]).json()
            return found
    return None


def upload_parts(client: Client, path: Path, upload: dict[str, Any], parallel: int, progress: Progress) -> None:
    """Send the parts that the server does not have."""
    there = {part["part_number"]: part["checksum"] for part in upload.get("parts", ())}

    def read(count: int) -> None:
        client.go_on()
        progress.add(count)

    def send(number: int) -> None:
        start = number * upload["part_size"]
        size = min(upload["part_size"], upload["size"] - start)

        def hashed(algorithm: str) -> Any:
            return Slice(path, start, size, lambda count: client.go_on()).digest(algorithm)

        algorithm, _, checksum = there.get(number, "").partition(":")
        if algorithm in ALGORITHMS and hashed(algorithm).hexdigest() == checksum:
            progress.add(size, sent=False)
            return
        digest = hashed("md5")
        attempts: list[Slice] = []

        def make() -> dict[str, Any]:
            if attempts:
                progress.add(attempts[-1].left - size)
            attempts.append(Slice(path, start, size, read))
            return {"data": attempts[-1], "headers": content_md5(digest)}

        try:
            client.request("PUT", f"{upload['links']['self']}&partNumber={number}", make)
        finally:
            for attempt in attempts:
                attempt.file.close()

    with ThreadPoolExecutor(parallel) as pool:
        sending = [pool.submit(send, number) for number in range(upload["last_part_number"] + 1)]
        try:
            for future in wait(sending, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            client.stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def complete(client: Client, upload: dict[str, Any]) -> bool:
    """Have the parts made one object, wait for it, and tell whether the server says that it is there."""
    for _ in range(client.attempts):
        response = client.request("POST", upload["links"]["self"], ok=(404,))
        # With 404 an attempt whose answer was lost has succeeded, or there is no such upload any more.
        if response.status_code == 404:
            return False
        # The status is sent before the work begins, and white space while it lasts: the JSON tells how it went.
        if "status" not in (answer := response.json()):
            return True
        client.go_on(1)
    raise UploadError(f"The upload could not be completed: {answer['message']}")


def upload_by_tus(client: Client, path: Path, bucket: str, key: str, progress: Progress) -> None:
    """Send a file as one run of bytes, from where an earlier request or run broke."""
    found = path.stat()
    name = json.dumps([bucket, key, str(path.resolve()), found.st_size, found.st_mtime_ns])
    known = KNOWN / hashlib.sha256(name.encode()).hexdigest()
    attempts: list[Slice] = []

    def offset() -> int | None:
        """Ask how much is there, which ends an earlier request; ``None`` where there is no upload."""
        if not known.exists():
            return None
        answer = client.request("HEAD", known.read_text(), lambda: {"headers": TUS}, ok=(404, 410))
        return int(answer.headers["Upload-Offset"]) if answer.ok else None

    def begin() -> None:
        named = f"filename {base64.b64encode(key.encode()).decode()}"
        headers = {**TUS, "Upload-Length": str(progress.size), "Upload-Metadata": named}
        answer = client.request("POST", f"{bucket}?tus", lambda: {"headers": headers})
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(answer.headers["Location"])

    def read(count: int) -> None:
        client.go_on()
        progress.add(count)

    def make() -> dict[str, Any]:
        start = offset() or 0
        progress.add(start - progress.done, sent=False)
        attempts.append(Slice(path, start, progress.size - start, read))
        headers = {**TUS, "Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
        return {"data": attempts[-1], "headers": headers}

    there = offset()
    if there is None:
        begin()
    try:
        if there != progress.size:
            client.request("PATCH", known.read_text(), make, done=lambda: offset() == progress.size)
    finally:
        for attempt in attempts:
            attempt.file.close()
    known.unlink()


def path_of(key: str) -> str:
    """Return the path of an object in a URL.

    :raises UploadError: If it has none: a segment ``.`` or ``..`` would make another request of it, and what is not
        in UTF-8 could not be sent.
    """
    if not {".", ".."}.isdisjoint(key.split("/")):
        raise UploadError(f"{key} cannot be the key of an object, for '.' and '..' lead elsewhere.")
    try:
        return quote(key)
    except UnicodeEncodeError:
        raise UploadError("The name of the file is not in UTF-8: choose a key for the object with --key.") from None


def upload_file(
    path: Path, bucket: str, key: str, client: Client, part_size: int, parallel: int, tus: bool, shown: bool
) -> str:
    """Upload a file, unless the object is that already, and return its URL.

    :raises UploadError: If that cannot be done.
    """
    size = path.stat().st_size
    url = f"{bucket}/{path_of(key)}"
    if is_stored(client, url, path):
        return url
    if size <= part_size:
        content = path.read_bytes()
        headers = content_md5(hashlib.md5(content, usedforsecurity=False))
        stored = partial(is_stored, client, url, path)
        client.request("PUT", url, lambda: {"data": content, "headers": headers}, done=stored)
        told = True
    elif tus:
        upload_by_tus(client, path, bucket, key, Progress(size, shown))
        told = True
    else:
        upload = find_upload(client, bucket, key, size)
        if upload is None:
            part_size = max(part_size, -(-size // MOST_PARTS))
            upload = client.request("POST", f"{url}?uploads&size={size}&partSize={part_size}").json()
        upload_parts(client, path, upload, parallel, Progress(size, shown))
        told = complete(client, upload)
    right = is_stored(client, url, path)
    # Who may write need not be allowed to read: then the digests, which the server has compared, have to do.
    if not (told if right is None else right):
        raise UploadError("The object is not the same as the file: somebody has changed one of them meanwhile.")
    return url


def upload_folder(
    folder: Path, prefix: str, upload: Callable[[Path, str], str], stop: Callable[[], Any], parallel: int
) -> int:
    """Upload all files in a folder and below, several at a time; return how many failed, and tell why.

    :param prefix: What their keys begin with, before their paths in the folder.
    :param upload: Uploads a file to a key, and returns the object's URL.
    :param stop: Ends all uploads.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    failed = 0
    with ThreadPoolExecutor(parallel) as pool:
        sending = {path: pool.submit(upload, path, prefix + path.relative_to(folder).as_posix()) for path in paths}
        try:
            for path, future in sending.items():
                try:
                    print(future.result())
                except (UploadError, OSError) as error:
                    failed += 1
                    print(f"{str(path).encode(errors='replace').decode()}: {error}", file=sys.stderr)
        except BaseException:
            stop()
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def main() -> int:
    """Run as a program; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the file to upload, or a folder with all that is in it")
    parser.add_argument("bucket", help="URL of the bucket")
    parser.add_argument(
        "--key", help="key of the object (default: the file's name), or what the keys of a folder begin with"
    )
    parser.add_argument("--token", default=os.environ.get("FILES_TOKEN"), help="access token (default: $FILES_TOKEN)")
    parser.add_argument("--parallel", type=int, default=4, metavar="N", help="parts, or files, at a time (default: 4)")
    parser.add_argument("--part-size", type=int, default=16, metavar="MIB", help="size of a part (default: 16)")
    parser.add_argument("--attempts", type=int, default=8, metavar="N", help="attempts per request (default: 8)")
    parser.add_argument("--tus", action="store_true", help="send what is larger than a part as one run of bytes")
    arguments = parser.parse_args()
    if not arguments.bucket.lower().startswith(("http://", "https://")):
        parser.error(f"{arguments.bucket} is no URL of a bucket, such as https://example.org/api/files/<id>")
    file, bucket, part_size = arguments.file, arguments.bucket.rstrip("/"), arguments.part_size * MIB
    clients: list[Client] = []

    def upload(path: Path, key: str, parallel: int = 1, shown: bool = False) -> str:
        # One that fails stops its own requests alone.
        client = Client(arguments.token, arguments.attempts)
        clients.append(client)
        return upload_file(path, bucket, key, client, part_size, parallel, arguments.tus, shown)

    def stop() -> None:
        for client in clients:
            client.stopped.set()

    try:
        if file.is_dir():
            return int(upload_folder(file, arguments.key or "", upload, stop, arguments.parallel) > 0)
        print(upload(file, arguments.key or file.name, arguments.parallel, sys.stderr.isatty()))
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    except (UploadError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
