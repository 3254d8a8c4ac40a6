"""Migrate files between a folder and the location of the application, both ways; print what that took in JSON.

``BENCHMARK_FILES`` says how many and of what size, in JSON: ``[[10000, 1024], ...]``; ``BENCHMARK_SOURCE`` is the
folder. Memory is the peak of this process above what it took before.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from application import application
from invenio_db import db

from invenio_files_rest.helpers import populate_from_path
from invenio_files_rest.models import Bucket, Location
from invenio_files_rest.services.migration import migrate, redirect

MIB = 1024**2


def make_files(folder: Path, count: int, size: int) -> None:
    """Make files that differ from each other.

    :param folder: Where.
    :param count: Their number.
    :param size: Their size in bytes.
    """
    block = os.urandom(min(size, MIB) - 16)
    for number in range(count):
        with (folder / f"{number:06}").open("wb") as file:
            for _ in range(max(1, size // MIB)):
                file.write(f"{number:>16}".encode() + block)


def memory(field: str) -> int:
    """Return a field of the memory of this process, in bytes (proc_pid_status(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def moved(bucket: Bucket, to: str) -> dict[str, float]:
    """Migrate a bucket, and return the seconds, of these the seconds of CPU of this process, and bytes of memory."""
    Path("/proc/self/clear_refs").write_text("5")
    before, begun, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    redirect(Location.get_by_name(to), bucket.id)
    for finding in migrate(to, bucket.id):
        assert finding, "There was a file in the bucket that need not move."
        assert finding.done, finding
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "CPU": time.process_time() - cpu, "memory": memory("VmHWM") - before}


def main() -> Iterator[dict[str, float | str]]:
    """Migrate the files of each size, there and back."""
    there, here = Location.get_default(), Location(name="folder", uri=os.environ["BENCHMARK_SOURCE"])
    db.session.add(here)
    db.session.commit()
    for count, size in json.loads(os.environ["BENCHMARK_FILES"]):
        bucket = Bucket.create(here)
        with TemporaryDirectory() as folder:
            make_files(Path(folder), count, size)
            for _ in populate_from_path(bucket, folder):
                pass
            db.session.commit()
        for name in (there.name, here.name):
            yield {"count": count, "size": size, "to": name, **moved(bucket, name)}


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps(list(main())))
