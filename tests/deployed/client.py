"""A client of the deployed service, which also copies, extracts archives and reads what it was promised."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from typing import Any

import requests
from crash.client import TIMEOUT, Client, LostError
from crash.resumable import TUS, joined, run_of_bytes, version_of


class DeployedClient(Client):
    """A client that comes through nginx to whichever server there is."""

    passed_on = True
    joins = True
    """Whether uploads can be joined, which those in an object store cannot."""

    def actions(self) -> list[Callable[[str], Any]]:
        """Return what it does; there are no requests that only tests have."""
        actions: list[Callable[[str], Any]] = [self.upload] * 5 + [self.delete] * 2 + [self.remove] * 2
        actions += [self.fixed_parts] * 3 + [self.copy] * 2 + [self.extract] * 2 + [self.read] * 3
        actions += [lambda key: run_of_bytes(self)] * 4
        return actions + [lambda key: joined(self)] * 2 * self.joins

    unanswered = 0
    """How many requests nobody answered, or with 5xx."""

    def send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Send a request, and count it where nobody says what came of it."""
        try:
            return super().send(method, path, **kwargs)
        except LostError:
            self.unanswered += 1
            raise

    def lost(self, key: str) -> None:
        """Take the key for one that may change at any time: a server may be about to do what was asked for."""
        self.late.add(key)

    def copy(self, key: str) -> None:
        """Copy an object to another key."""
        head = self.ledger.heads.get(key)
        if head is None:
            return
        target = f"{self.name}/{(int(key[-1]) + self.random.randint(1, 3)) % 4}"
        digest = self.ledger.versions[head]
        self.change(target)
        try:
            response = self.send("PUT", target, params={"copy": key, "versionId": head})
        except LostError:
            self.lost(target)
            raise
        if response.ok:
            version = response.json()["version_id"]
            self.ledger.versions[version] = digest
            if target not in self.late:
                self.ledger.heads[target] = version
            self.of_key[target].append(version)

    def extract(self, key: str) -> None:
        """Have an archive taken apart, all of it or nothing."""
        contents = [self.content()[:20_000] for _ in range(self.random.randint(1, 6))]
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for number, content in enumerate(contents):
                info = tarfile.TarInfo(f"{number}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        prefix = self.new_key("archive")
        response = self.send("POST", f"?extract&prefix={prefix}/", data=packed.getvalue())
        if response.ok:
            stored = response.json()["contents"]
            assert [entry["key"] for entry in stored] == [f"{prefix}/{number}" for number in range(len(contents))]
            for entry, content in zip(stored, contents, strict=True):
                self.stored(entry["key"], entry["version_id"], content)

    def read(self, key: str) -> None:
        """Read a version that was acknowledged, which nginx or the application sends."""
        versions = [version for version in self.of_key[key] if version in self.ledger.versions]
        if not versions:
            return
        version = self.random.choice(versions)
        try:
            response = self.send("GET", key, params={"versionId": version})
        except LostError:
            # Nothing has changed.
            return
        if response.ok:
            assert hashlib.md5(response.content).hexdigest() == self.ledger.versions[version], f"{key} {version}"
        else:
            assert version in self.ledger.uncertain, (key, version, response.status_code, response.text)

    def go_on(self) -> None:
        """Go on with each upload of one run that is there still, to its end."""
        for run in [run for run in self.runs.values() if run.key is not None and run.id in self.ledger.runs]:
            response = self.http.head(run.url, headers=TUS, timeout=TIMEOUT)
            if response.status_code in (404, 410) and run.id in self.ledger.whole:
                # The last bytes had come, and it is a version.
                run.forget()
                self.ledger.later[version_of(run.id)] = hashlib.md5(run.content).hexdigest()
                continue
            assert response.status_code in (200, 409, 423), (run.url, response.status_code, response.headers)
            answer = None
            while not run.is_whole(answer):
                answer = run.patch(len(run.content)) or run.ask()
            run.is_promised(answer)
