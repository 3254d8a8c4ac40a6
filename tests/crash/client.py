"""A client that does as it likes with keys of its own, and remembers what it was promised."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT = 60
"""Seconds after which a request that nobody answers is taken for lost; longer than a server waits for anything."""


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


class Client(threading.Thread):
    """A client in a thread.

    :param url: URL of a bucket.
    :param name: What its keys begin with.
    :param seed: Seed of its choices.
    """

    def __init__(self, url: str, name: str, seed: int) -> None:
        """Begin with nothing promised."""
        super().__init__(name=name, daemon=True)
        self.url = url
        self.random = random.Random(seed)
        self.http = requests.Session()
        self.ledger = Ledger()
        self.of_key: dict[str, list[str]] = defaultdict(list)
        self.done = 0
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Do one thing after another until told to stop."""
        actions = [self.upload] * 5 + [self.parts] * 3 + [self.delete] * 2 + [self.remove] * 2
        try:
            while not self.stopping.is_set():
                key = f"{self.name}/{self.random.randrange(4)}"
                try:
                    self.random.choice(actions)(key)
                    self.done += 1
                except LostError:
                    self.stopping.wait(0.05)
        except BaseException as error:
            self.failure = error

    def send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Send a request, and return an answer that promises something."""
        try:
            response = self.http.request(method, f"{self.url}/{path}", timeout=TIMEOUT, **kwargs)
        except requests.RequestException as error:
            raise LostError from error
        if response.status_code >= 500:
            raise LostError
        assert response.ok or response.status_code in (404, 409), (method, path, response.status_code, response.text)
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
        self.ledger.heads[key] = version
        self.of_key[key].append(version)

    def upload(self, key: str) -> None:
        """Store an object."""
        content = self.content()
        self.change(key)
        answer = self.send("PUT", key, data=content).json()
        assert answer["checksum"] == "md5:" + hashlib.md5(content).hexdigest()
        self.stored(key, answer["version_id"], content)

    def parts(self, key: str) -> None:
        """Store an object in parts, or give up half way."""
        content = self.content()
        size = max(1, -(-len(content) // self.random.randint(1, 4)))
        query = {"size": str(len(content)), "partSize": str(size)}
        upload = self.send("POST", f"{key}?uploads", params=query).json()["id"]
        for number in self.random.sample(range(-(-len(content) // size)), -(-len(content) // size)):
            if self.random.random() < 0.05:
                return
            part = content[number * size : (number + 1) * size]
            self.send("PUT", key, params={"uploadId": upload, "partNumber": str(number)}, data=part)
        self.change(key)
        try:
            response = self.send("POST", key, params={"uploadId": upload})
            answer = response.json()
        except ValueError as error:
            raise LostError from error
        if "links" not in answer:
            raise LostError
        self.stored(key, answer["links"]["object_version"].rpartition("=")[2], content)

    def delete(self, key: str) -> None:
        """Delete an object, which adds a delete marker."""
        self.change(key)
        if self.send("DELETE", key).status_code == 204:
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
