"""What is measured side by side, in rounds in which the contestants take turns."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client import Client
from .contestants import Contestant

MIB = 1024**2
_numbers = itertools.count()


@dataclass
class Scale:
    """How much is measured."""

    rounds: int = 7
    seconds: float = 2
    """Seconds of a measurement of small requests."""

    large: int = 512 * MIB
    """Bytes of a large file."""

    trickle: float = 20
    """Seconds that slow uploads take."""

    objects: tuple[int, ...] = (100, 1000, 10_000, 100_000, 1_000_000)
    clients: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    sizes: tuple[int, ...] = (*(1024 * 8**power for power in range(7)), 1024 * MIB, 4096 * MIB)


QUICK = Scale(
    rounds=3,
    seconds=0.5,
    large=64 * MIB,
    trickle=4,
    objects=(100, 1000, 10_000),
    clients=(1, 4, 16),
    sizes=(1024, 65_536, 4 * MIB, 64 * MIB),
)


@dataclass
class Measure:
    """A number that is the better the larger it is."""

    name: str
    unit: str
    take: Callable[[Contestant], float]
    contestants: list[Contestant]
    targets: dict[str, float] = field(default_factory=dict)
    """What it has to be at least, as a multiple of that of another contestant."""

    values: dict[str, list[float]] = field(default_factory=dict)


def say(message: str) -> None:
    """Tell what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def run(measures: Iterable[Measure], rounds: int) -> None:
    """Take measures in rounds; who comes first changes from round to round.

    :param measures: The measures.
    :param rounds: Number of rounds that count; there is one before them that does not.
    """
    for measure in measures:
        say(measure.name)
        for number in range(-1, rounds):
            turn = number % len(measure.contestants)
            for contestant in measure.contestants[turn:] + measure.contestants[:turn]:
                value = measure.take(contestant)
                if number >= 0:
                    measure.values.setdefault(contestant.name, []).append(value)


def spread(values: list[float]) -> dict[str, float]:
    """Return median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "low": low, "high": high}


def ratios(measure: Measure, name: str, first: str = "ours") -> list[float]:
    """Return how many times the number of another contestant ours was, round by round."""
    return [one / other for one, other in zip(measure.values[first], measure.values[name], strict=True)]


class LargeFiles:
    """Files of one size, there and back."""

    def __init__(self, folder: Path, size: int) -> None:
        """Make the file.

        :param folder: Where to make it.
        :param size: Its size, in bytes.
        """
        self.size = size
        self.source = folder / f"source-{size}"
        block = os.urandom(min(size, MIB))
        with self.source.open("wb") as file:
            for _ in range(size // len(block)):
                file.write(block)

    def put(self, contestant: Contestant) -> float:
        """Store the file, and return MiB per second."""
        return self._put(contestant, f"{contestant.path}/put-{self.size}", remove=True)

    def _put(self, contestant: Contestant, path: str, remove: bool) -> float:
        # What others have left to be written must not be on our account.
        os.sync()
        with contestant.client() as client:
            begun = time.perf_counter()
            client.expect(200, "PUT", path, self.source)
            seconds = time.perf_counter() - begun
            if remove:
                self._remove(contestant, client, path)
        return self.size / MIB / seconds

    @staticmethod
    def _remove(contestant: Contestant, client: Client, path: str) -> None:
        if contestant.is_application:
            versions = json.loads(client.expect(200, "GET", f"{contestant.path}?versions"))["contents"]
            key = path.rpartition("/")[2]
            for version in versions:
                if version["key"] == key:
                    client.expect(204, "DELETE", f"{path}?versionId={version['version_id']}")
        elif contestant.name == "nginx":
            client.expect(204, "DELETE", path)

    def prepare(self, contestants: Iterable[Contestant]) -> None:
        """Store the file where it can be fetched."""
        for contestant in contestants:
            self._put(contestant, f"{contestant.path}/get-{self.size}", remove=False)

    def get(self, contestant: Contestant) -> float:
        """Fetch the file, and return MiB per second."""
        with contestant.client() as client:
            return self._get(client, f"{contestant.path}/get-{self.size}")

    def get_first(self, contestant: Contestant) -> float:
        """Store the file anew and fetch it, and return MiB per second of the latter."""
        path = f"{contestant.path}/first-{self.size}"
        self._put(contestant, path, remove=False)
        with contestant.client() as client:
            rate = self._get(client, path)
            self._remove(contestant, client, path)
        return rate

    def _get(self, client: Client, path: str) -> float:
        begun = time.perf_counter()
        if client.download(path) != self.size:
            raise RuntimeError("The file has not come whole.")
        return self.size / MIB / (time.perf_counter() - begun)


def per_second(seconds: float, work: Callable[[], Any]) -> float:
    """Return how often something can be done in a second.

    :param seconds: How long to try.
    """
    begun = time.perf_counter()
    count = 0
    while (passed := time.perf_counter() - begun) < seconds or not count:
        work()
        count += 1
    return count / passed


def at_once(clients: int, seconds: float, work: Callable[[int, int], Any]) -> float:
    """Return how often some clients at once can do something in a second.

    :param clients: Number of clients.
    :param seconds: How long they try.
    :param work: What a client does, called with its number and with how often it has done so.
    """
    stop = threading.Event()

    def repeat(number: int) -> int:
        done = 0
        while not stop.is_set():
            work(number, done)
            done += 1
        return done

    with ThreadPoolExecutor(clients) as pool:
        begun = time.perf_counter()
        repeating = [pool.submit(repeat, number) for number in range(clients)]
        stop.wait(seconds)
        stop.set()
        return sum(future.result() for future in repeating) / (time.perf_counter() - begun)


def small_put(seconds: float) -> Callable[[Contestant], float]:
    """Return the measure of storing small files under distinct keys."""
    body = os.urandom(1024)

    def take(contestant: Contestant) -> float:
        with contestant.client() as client:
            path = f"{contestant.path}/small-{next(_numbers)}-"
            return per_second(seconds, lambda: client.expect(200, "PUT", f"{path}{next(_numbers)}", body))

    return take


def small_get(seconds: float, contestants: list[Contestant]) -> Callable[[Contestant], float]:
    """Return the measure of fetching a small file."""
    for contestant in contestants:
        with contestant.client() as client:
            client.expect(200, "PUT", f"{contestant.path}/small", os.urandom(1024))

    def take(contestant: Contestant) -> float:
        with contestant.client() as client:
            return per_second(seconds, lambda: client.expect(200, "GET", f"{contestant.path}/small"))

    return take


def listing(seconds: float) -> Callable[[Contestant], float]:
    """Return the measure of listing a bucket."""

    def take(contestant: Contestant) -> float:
        with contestant.client() as client:
            return per_second(seconds, lambda: client.expect(200, "GET", f"/files/{contestant.setup['listed']}"))

    return take


def writers(contestant: Contestant, same: bool, clients: int = 8, each: int = 40) -> dict[str, Any]:
    """Let clients write into a new bucket at once, and return how that was answered and what came of it.

    :param contestant: The application.
    :param same: Whether all write one key.
    :param clients: Number of clients.
    :param each: How many files each client writes.
    """
    with contestant.client() as client:
        bucket = json.loads(client.expect(200, "POST", "/files"))["id"]
    answers: Counter[int] = Counter()
    barrier = threading.Barrier(clients)

    def write(number: int) -> None:
        with contestant.client() as client:
            barrier.wait()
            for turn in range(each):
                key = "key" if same else f"{number}-{turn}"
                answers[client.request("PUT", f"/files/{bucket}/{key}", b"x" * 1000)[0]] += 1

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(write, range(clients)))
    with contestant.client() as client:
        found = json.loads(client.expect(200, "GET", f"/files/{bucket}?versions"))
    return {
        "answers": dict(answers),
        "versions": len(found["contents"]),
        "heads": sum(item["is_head"] for item in found["contents"]),
        "size": found["size"],
    }
