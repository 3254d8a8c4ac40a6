"""What a client does with tus: it goes on where requests broke, joins uploads, and ends some."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from helpers.tus import TYPE, metadata

if TYPE_CHECKING:
    from crash.client import Client

TUS = {"Tus-Resumable": "1.0.0"}


def version_of(upload: str) -> str:
    """Return the identifier of the version that an upload becomes."""
    return str(uuid.uuid5(uuid.UUID(upload), "version"))


class Run:
    """An upload of tus.

    :param client: The client.
    :param content: All bytes of it.
    :param key: Key of the object; ``None`` for a partial upload.
    """

    def __init__(self, client: Client, content: bytes, key: str | None) -> None:
        """Begin it, with its length or without."""
        self.client, self.content, self.key = client, content, key
        self.declared = key is None or client.random.random() < 0.5
        headers = {"Upload-Length": str(len(content))} if self.declared else {"Upload-Defer-Length": "1"}
        headers |= {"Upload-Concat": "partial"} if key is None else {"Upload-Metadata": metadata(filename=key)}
        self.url = create(client, headers)
        self.id = self.url[-36:]
        self.offset = 0
        client.ledger.runs[self.id] = b""
        client.runs[self.id] = self

    def told(self, answer: Any) -> None:
        """Note an offset, which never is less than another that was told before."""
        self.offset = int(answer.headers["Upload-Offset"])
        assert self.offset >= len(self.client.ledger.runs[self.id]), (self.url, self.offset)
        self.client.ledger.runs[self.id] = self.content[: self.offset]

    def ask(self) -> Any:
        """Ask for the offset; return the answer where it was told."""
        answer = self.client.send("HEAD", self.url, headers=TUS)
        # It is there: another request may be writing, or about to.
        assert answer.status_code in (200, 409, 423), (self.url, answer.status_code)
        if not answer.ok:
            return None
        self.told(answer)
        return answer

    def patch(self, end: int) -> Any:
        """Append the bytes up to an offset, or break off there; return the answer where there is one."""
        body = self.content[self.offset : end]
        headers = {**TUS, "Content-Type": TYPE, "Upload-Offset": str(self.offset)}
        if end == len(self.content):
            if not self.declared:
                headers["Upload-Length"] = str(end)
            self.client.ledger.whole[self.id] = self.content
        if self.client.random.random() < 0.2:
            self.client.break_off(self.url, body, len(self.content) - self.offset, method="PATCH", headers=headers)
            return None
        answer = self.client.send("PATCH", self.url, data=body, headers=headers)
        if not answer.ok:
            return None
        self.declared |= end == len(self.content)
        self.told(answer)
        return answer

    def is_whole(self, answer: Any) -> bool:
        """Tell whether an answer says that all bytes are there of an upload that has no more."""
        return answer is not None and self.declared and self.offset == len(self.content)

    def is_promised(self, answer: Any) -> None:
        """Note that it is a version, or will be one, as an answer says to which it is whole."""
        self.forget()
        # Without it a worker makes the version.
        has_become = "versionId=" in answer.headers.get("Location", "")
        promised = self.client.ledger.versions if has_become else self.client.ledger.later
        promised[version_of(self.id)] = hashlib.md5(self.content).hexdigest()

    def forget(self) -> None:
        """Expect nothing of it any more."""
        self.client.ledger.runs.pop(self.id, None)
        self.client.ledger.whole.pop(self.id, None)

    def end(self) -> None:
        """End it."""
        self.forget()
        self.client.send("DELETE", self.url, headers=TUS)


def create(client: Client, headers: dict[str, str]) -> str:
    """Begin an upload, and return its URL."""
    bucket = client.url.rpartition("/")[2]
    answer = client.send("POST", f"../{bucket}?tus", headers={**TUS, **headers})
    assert answer.status_code == 201, (answer.status_code, answer.text)
    return str(answer.headers["Location"])


def run_of_bytes(client: Client) -> None:
    """Store an object in requests that may break, and go on where what was kept ends, or end it half way."""
    run = Run(client, client.content(), client.new_key("run"))
    answer = None
    while not run.is_whole(answer):
        end = client.random.choice([len(run.content), client.random.randint(run.offset, len(run.content))])
        answer = client.unless_lost(lambda end=end: run.patch(end))
        choice = client.random.random()
        if client.stopping.is_set() or choice < 0.1:
            return
        if choice < 0.15 and not run.is_whole(answer):
            run.end()
            return
        answer = answer or run.ask()
    run.is_promised(answer)


def joined(client: Client) -> None:
    """Store an object as several uploads that are joined; where nobody said whether they were, try to end one."""
    content = client.content()
    cuts = sorted(client.random.randint(0, len(content)) for _ in range(client.random.randint(0, 2)))
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    runs = []
    for piece in filter(None, pieces):
        run = Run(client, piece, None)
        runs.append(run)
        answer = None
        while not run.is_whole(answer):
            answer = client.unless_lost(lambda run=run: run.patch(len(run.content))) or run.ask()
            if client.stopping.is_set():
                return
    key = client.new_key("joined")
    digest = client.ledger.at_most[key] = hashlib.md5(content).hexdigest()
    for run in runs:
        run.forget()
    named = "final;" + " ".join(run.url for run in runs)
    headers = {"Upload-Concat": named, "Upload-Metadata": metadata(filename=key)}
    url = client.unless_lost(lambda: create(client, headers))
    if url is not None:
        client.ledger.later[version_of(url[-36:])] = digest
    elif client.send("DELETE", runs[0].url, headers=TUS).status_code == 409:
        # The other has been begun, and must not lose its bytes.
        client.ledger.at_least[key] = digest
