"""What makes a growing upload quick: large reads where they lose nothing, and a digest that follows behind."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import time
from io import BytesIO
from threading import Event, Thread, current_thread
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.waiting import SECONDS, wait_until

from invenio_files_rest.http.bodies import keeps_what_came
from invenio_files_rest.services.uploads import sources
from invenio_files_rest.services.uploads.digests import BEHIND, SHORT, Following, running
from invenio_files_rest.services.uploads.sources import LARGEST_PIECE, PIECE, Source
from invenio_files_rest.storage.pump import pump

MIB = 1024**2
BLOCKS = [bytes([number]) * MIB for number in range(BEHIND // MIB + 4)]


class Gated:
    """MD5 that waits until it may go on."""

    def __init__(self) -> None:
        self.gate, self.digest = Event(), hashlib.md5()

    def update(self, data: bytes) -> None:
        assert self.gate.wait(SECONDS)
        self.digest.update(data)

    def hexdigest(self) -> str:
        return self.digest.hexdigest()


def test_a_digest_follows_and_is_right_when_it_is_asked() -> None:
    following, expected = Following(hashlib.md5()), hashlib.md5()
    for block in (b"", b"short", *BLOCKS, b"x" * (SHORT - 1), b"y" * SHORT):
        following.update(block)
        expected.update(block)
    copy = following.copy()
    assert following.hexdigest() == copy.hexdigest() == expected.hexdigest()
    copy.update(b"more")
    assert following.hexdigest() == expected.hexdigest() != copy.hexdigest()


def test_a_digest_is_behind_by_some_megabytes_at_most() -> None:
    gated = Gated()
    following, fed = Following(gated), []

    def feed() -> None:
        for block in BLOCKS:
            following.update(block)
            fed.append(block)

    feeding = Thread(target=feed)
    feeding.start()
    wait_until(lambda: len(fed) * MIB >= BEHIND)
    time.sleep(0.1)
    assert len(fed) * MIB == BEHIND
    gated.gate.set()
    feeding.join(SECONDS)
    assert following.hexdigest() == hashlib.md5(b"".join(BLOCKS)).hexdigest()


def test_digests_of_many_uploads_are_behind_by_little_more_than_one_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invenio_files_rest.services.uploads.digests.TOGETHER", 2 * MIB)
    gates = Gated(), Gated()
    first, second = map(Following, gates)
    for block in BLOCKS[:2]:
        first.update(block)
    fed = []

    def feed() -> None:
        for block in BLOCKS[:3]:
            second.update(block)
            fed.append(block)

    feeding = Thread(target=feed)
    feeding.start()
    wait_until(lambda: fed)
    time.sleep(0.1)
    assert len(fed) == 1
    # The other may take as long as it likes.
    gates[1].gate.set()
    feeding.join(SECONDS)
    assert second.hexdigest() == hashlib.md5(b"".join(BLOCKS[:3])).hexdigest()
    gates[0].gate.set()
    assert first.hexdigest() == hashlib.md5(b"".join(BLOCKS[:2])).hexdigest()


def test_an_error_of_a_digest_is_raised_by_who_asks_for_it() -> None:
    following = Following(SimpleNamespace(update=lambda data: 1 / 0))
    for block in BLOCKS:
        following.update(block)
    with pytest.raises(ZeroDivisionError):
        following.hexdigest()


def test_what_is_written_does_not_wait_for_the_digest() -> None:
    gated, target = Gated(), BytesIO()
    following = Following(gated)
    pump(BytesIO(b"".join(BLOCKS[:3])), target, following)
    assert target.getvalue() == b"".join(BLOCKS[:3])
    gated.gate.set()
    assert following.hexdigest() == hashlib.md5(target.getvalue()).hexdigest()


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("follows", [False, True])
def test_who_has_nothing_else_to_do_writes_to_the_page_cache_itself(at_once: bool, follows: bool) -> None:
    """Where writing may take long, or there is a digest to compute, others do."""
    digest = hashlib.md5()
    writers: list[Thread] = []
    target = SimpleNamespace(write=lambda block: writers.append(current_thread()))
    pump(BytesIO(b"".join(BLOCKS[:3])), target, Following(digest) if follows else digest, at_once=at_once)
    writes_itself = at_once and follows
    assert [writer is current_thread() for writer in writers] == [True, True, writes_itself]


_FAULTS = """
import resource, sys
from invenio_files_rest.storage.memory import keep_freed_memory

def faults():
    blocks = [bytes([number]) * 1024**2 for number in range(6)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "kept":
    keep_freed_memory()
faults()
print(-faults() + [faults() for _ in range(5)][-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="Others keep what they like.")
def test_memory_of_blocks_is_kept_for_the_next_ones() -> None:
    """Or else each page of it is taken anew from the system."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}

    def pages(kept: str) -> int:
        return int(subprocess.check_output([sys.executable, "-W", "ignore", "-c", _FAULTS, kept], env=ours))

    assert pages("kept") < pages("as it is") / 10


def test_a_running_digest_is_taken_away_unless_it_is_to_be_kept() -> None:
    key: Any = ("an upload", 5, "md5")
    following = Following(hashlib.md5(b"12345"))
    running.put(*key, following)
    kept = running.take(*key, keep=True)
    assert kept is not None
    assert kept is not following
    assert running.take(*key, keep=False) is following
    assert running.take(*key, keep=False) is None


class Noting:
    """A stream without an end that notes how much is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        return b"x" * size


@pytest.mark.parametrize(
    ("lossless", "quick", "expected"),
    [
        (True, True, [LARGEST_PIECE] * 3),
        (True, False, [LARGEST_PIECE, PIECE, PIECE]),
        (False, True, [PIECE] * 3),
        (False, False, [PIECE] * 3),
    ],
)
def test_large_pieces_are_read_of_who_is_quick_where_nothing_of_them_is_lost(
    lossless: bool, quick: bool, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "QUICK_SECONDS", SECONDS if quick else 0)
    stream, lease = Noting(), SimpleNamespace(lost=False)
    source = Source(stream, lease, size=None, salvage=True, lossless=lossless)  # type: ignore[arg-type]
    for _ in expected:
        source.read(10 * MIB)
    assert stream.asked == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"gunicorn.socket": 1, "CONTENT_LENGTH": "5"}, True),
        ({"gunicorn.socket": 1, "HTTP_TRANSFER_ENCODING": "chunked"}, False),
        ({"uwsgi.version": "2", "CONTENT_LENGTH": "5"}, False),
        ({"CONTENT_LENGTH": "5"}, False),
    ],
)
def test_gunicorn_gives_what_came_of_a_body_with_a_length(environ: dict[str, Any], expected: bool) -> None:
    assert keeps_what_came(environ) is expected
