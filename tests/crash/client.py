"""A client that does as it likes with keys of its own, and remembers what it was promised."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from .resumable import Run, joined, run_of_bytes

T = TypeVar("T")

TIMEOUT = 60
"""Seconds after which a request that nobody answers is taken for lost; longer than a server waits for anything."""

LARGE = 8 * 1024**2
"""Size in bytes of the largest objects."""


class LostError(Exception):
    """Nobody said what came of a request: it may have been carried out, or not."""


@dataclass
class Ledger:
    """What a client was promised."""

    versions: dict[str, str] = field(default_factory=dict)
    """MD5 of each version that was acknowledged, by identifier."""

    heads: dict[str, str | None] = field(default_factory=dict)
    """The version that is the head of each key, ``None`` for a delete marker; no key of which that is not certain."""

    removed: set[str] = field(default_factory=set)
    """Versions whose removal was acknowledged."""

    uncertain: set[str] = field(default_factory=set)
    """Versions whose removal was asked for and not answered."""

    later: dict[str, str] = field(default_factory=dict)
    """MD5 of each version that will be there when the tasks, or the sweep, have done their work, by identifier."""

    runs: dict[str, bytes] = field(default_factory=dict)
    """What is there, at least, of each upload of one run, by identifier."""

    whole: dict[str, bytes] = field(default_factory=dict)
    """All bytes of each of them that may have become a version, for its last bytes were sent and nobody answered."""

    at_most: dict[str, str] = field(default_factory=dict)
    """MD5 of what is at a key, if anything is."""

    at_least: dict[str, str] = field(default_factory=dict)
    """MD5 of what will be at a key when the tasks, or the sweep, have done their work."""

    extents: dict[str, dict[int, bytes]] = field(default_factory=dict)
    """The parts that are there of each upload of any parts, by identifier and number."""

    fixed: dict[str, dict[int, bytes]] = field(default_factory=dict)
    """The parts that are there of each upload of fixed parts, by identifier and number."""


class Client(threading.Thread):
    """A client in a thread.

    :param url: URL of a bucket.
    :param name: What its keys begin with.
    :param seed: Seed of its choices.
    :param token: A token, where one is needed.
    """

    passed_on = False
    """Whether another program passes requests on, so that one may come when its client has gone."""

    def __init__(self, url: str, name: str, seed: int, token: str | None = None) -> None:
        """Begin with nothing promised."""
        super().__init__(name=name, daemon=True)
        self.url = url
        self.authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self.random = random.Random(seed)
        self.http = requests.Session()
        self.http.headers.update(self.authorization)
        self.ledger = Ledger()
        self.of_key: dict[str, list[str]] = defaultdict(list)
        self.runs: dict[str, Run] = {}
        """Its uploads of one run, by identifier."""
        self.late: set[str] = set()
        """Keys that may get another version at any time, for nobody said whether an upload has been merged."""
        self.done = self.begun = 0
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Do one thing after another until told to stop."""
        actions = self.actions()
        try:
            while not self.stopping.is_set():
                key = f"{self.name}/{self.random.randrange(4)}"
                try:
                    self.random.choice(actions)(key)
                except LostError:
                    self.lost(key)
                    self.stopping.wait(0.05)
        except BaseException as error:
            self.failure = error

    def actions(self) -> list[Callable[[str], Any]]:
        """Return what it does with a key, as often as it is likely."""
        actions: list[Callable[[str], Any]] = [self.upload] * 5 + [self.delete] * 2 + [self.remove] * 2
        actions += [self.fixed_parts] * 3 + [self.any_parts] * 3
        return actions + [lambda key: run_of_bytes(self)] * 3 + [lambda key: joined(self)] * 2

    def lost(self, key: str) -> None:
        """Note that nobody said what came of a request; here it has ended with the server that it was sent to."""

    def send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Send a request, and return an answer that promises something."""
        try:
            response = self.http.request(method, urljoin(f"{self.url}/", path), timeout=TIMEOUT, **kwargs)
        except requests.RequestException as error:
            raise LostError from error
        if response.status_code >= 500:
            raise LostError
        self.done += 1
        assert response.ok or response.status_code in (404, 409, 423), (
            method,
            path,
            response.status_code,
            response.text,
        )
        return response

    def content(self) -> bytes:
        """Make up some bytes."""
        return self.random.randbytes(int(10 ** self.random.uniform(0, 5.5)))

    def change(self, key: str) -> None:
        """Be uncertain of a key until there is an answer."""
        self.ledger.heads.pop(key, None)

    def stored(self, key: str, version: str, content: bytes) -> None:
        """Note that a version was acknowledged."""
        self.ledger.versions[version] = hashlib.md5(content).hexdigest()
        if key not in self.late:
            self.ledger.heads[key] = version
        self.of_key[key].append(version)

    def upload(self, key: str) -> None:
        """Store an object."""
        content = self.content()
        self.change(key)
        answer = self.send("PUT", key, data=content).json()
        assert answer["checksum"] == "md5:" + hashlib.md5(content).hexdigest()
        self.stored(key, answer["version_id"], content)

    def fixed_parts(self, key: str) -> None:
        """Store an object in parts of one size over REST, some of them twice, or give up half way, or abort."""
        # Some are so large that their bytes are written while others are still to come.
        content = self.random.randbytes(LARGE) if self.random.random() < 0.2 else self.content()
        size = max(1, -(-len(content) // self.random.randint(1, 4)))
        parts = [content[start : start + size] for start in range(0, len(content), size)]
        query = {"size": str(len(content)), "partSize": str(size)}
        upload = self.send("POST", f"{key}?uploads", params=query).json()["id"]
        there = self.ledger.fixed[upload] = {}
        path, numbers = f"{key}?uploadId={upload}", range(len(parts))
        for number in self.random.choices(numbers, k=2) + self.random.sample(numbers, len(numbers)):
            choice = self.random.random()
            if choice < 0.05:
                return
            if choice < 0.1:
                del self.ledger.fixed[upload]
                self.send("DELETE", path)
                return
            part = parts[number]
            if number not in there and self.random.random() < 0.2:
                part = self.random.randbytes(len(part))
            there.pop(number, None)
            if choice < 0.2 and not self.passed_on:
                # One that comes late would take the part away again, whose place in the file it is written to.
                self.break_off(f"{path}&partNumber={number}", part[:-1], len(part), wait=True)
            elif self.send("PUT", f"{path}&partNumber={number}", data=part).ok:
                there[number] = part
        if [there.get(number) for number in numbers] != parts:
            return
        del self.ledger.fixed[upload]
        self.change(key)
        self.late.add(key)
        version = self.merged(path) or str(uuid.uuid5(uuid.UUID(upload), "version"))
        self.late.discard(key)
        self.stored(key, version, content)

    def merged(self, path: str) -> str | None:
        """Complete an upload of fixed parts, again where nobody said what came of it.

        :returns: The version; ``None`` where the upload has become one since it was asked for first.
        """
        for attempt in range(3):
            if attempt:
                self.stopping.wait(0.05)
            with suppress(LostError, ValueError):
                response = self.send("POST", path)
                if attempt and response.status_code == 404:
                    return None
                answer = response.json()
                if "links" in answer:
                    return str(answer["links"]["object_version"].rpartition("=")[2])
        raise LostError

    def unless_lost(self, ask: Callable[[], T]) -> T | None:
        """Return what a request comes to; ``None``, after a pause, where nobody says."""
        try:
            return ask()
        except LostError:
            self.stopping.wait(0.05)
            return None

    def new_key(self, prefix: str) -> str:
        """Return a key that nobody has used."""
        self.begun += 1
        return f"{self.name}/{prefix}{self.begun}"

    def begin(self, plan: str, **query: str) -> tuple[str, str]:
        """Begin an upload to a key that nobody has used; return its identifier and its path."""
        query |= {"bucket": self.url.rpartition("/")[2], "key": self.new_key(plan)}
        upload = self.send("POST", f"../uploads/{plan}", params=query).json()["id"]
        return upload, f"../uploads/{plan}/{upload}"

    def break_off(
        self, path: str, body: bytes, size: int, wait: bool = False, method: str = "PUT", headers: Any = ()
    ) -> None:
        """Send a request whose body breaks off, and wait for its end or not."""
        host = urlsplit(self.url)
        with suppress(OSError), socket.create_connection((host.hostname, host.port), timeout=TIMEOUT) as connection:
            target = urlsplit(urljoin(f"{self.url}/", path))._replace(scheme="", netloc="").geturl()
            named = {"Host": host.netloc, "Content-Length": str(size), **self.authorization, **dict(headers)}
            lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
            connection.sendall("\r\n".join(lines).encode() + body)
            if wait:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

    def any_parts(self, key: str) -> None:
        """Store an object in parts of any size, in any order, some of them twice, or give up half way."""
        content, count = self.content(), self.random.randint(1, 5)
        cuts = sorted(self.random.randint(0, len(content)) for _ in range(count - 1))
        if self.random.random() < 0.4:
            size = -(-len(content) // count)
            cuts = [min(size * n, len(content)) for n in range(1, count)]
        parts = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
        upload, path = self.begin("parts")
        there = self.ledger.extents[upload] = {}
        for number in self.random.choices(range(count), k=2) + self.random.sample(range(count), count):
            if self.random.random() < 0.05:
                return
            part = self.content() if number not in there and self.random.random() < 0.1 else parts[number]
            there.pop(number + 1, None)
            if self.send("PUT", f"{path}/{number + 1}", data=part).ok:
                there[number + 1] = part
        if [there.get(number + 1) for number in range(count)] != parts:
            return
        del self.ledger.extents[upload]
        self.complete(path, content)

    def complete(self, path: str, content: bytes) -> None:
        """Have an upload become a version, now or later."""
        later = self.random.random() < 0.3
        answer = self.send("POST", path, params={"later": "1"} if later else {})
        if answer.ok:
            promised = self.ledger.later if later else self.ledger.versions
            promised[answer.json()["version"]] = hashlib.md5(content).hexdigest()

    def delete(self, key: str) -> None:
        """Delete an object, which adds a delete marker."""
        self.change(key)
        if self.send("DELETE", key).status_code == 204 and key not in self.late:
            self.ledger.heads[key] = None

    def remove(self, key: str) -> None:
        """Remove a version for good that is the head of no key."""
        if key not in self.ledger.heads:
            return
        older = [version for version in self.of_key[key] if version != self.ledger.heads[key]]
        older = [version for version in older if version in self.ledger.versions]
        if not older:
            return
        version = self.random.choice(older)
        digest = self.ledger.versions.pop(version)
        self.ledger.uncertain.add(version)
        response = self.send("DELETE", key, params={"versionId": version})
        assert response.status_code == 204, (version, digest, response.text)
        self.ledger.uncertain.remove(version)
        self.ledger.removed.add(version)
