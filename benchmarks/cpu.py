"""Who takes the processors while requests are sent: the server, PostgreSQL, an object store, the client."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVICES = {
    "postgres": "PostgreSQL",
    "postmaster": "PostgreSQL",
    "radosgw": "object store",
    "ceph-osd": "object store",
    "ceph-mon": "object store",
}
"""Who it is, by the name of a program."""

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds_of(server: int) -> Counter[str]:
    """Return the seconds of CPU that each has taken so far.

    :param server: Process of the server; those that it has started count with it.
    """
    processes = dict(_processes())
    found: Counter[str] = Counter()
    for pid, (name, parent, seconds) in processes.items():
        if pid == os.getpid():
            found["client"] += seconds
        elif pid == server or parent == server:
            found["server"] += seconds
        elif name in _SERVICES:
            found[_SERVICES[name]] += seconds
    return found


def _processes() -> Iterator[tuple[int, tuple[str, int, float]]]:
    """Find name, parent and seconds of CPU of each process (proc_pid_stat(5))."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue
            name, _, rest = text[text.index("(") + 1 :].rpartition(") ")
            fields = rest.split()
            # Fields 14 to 17, those of children that have ended included; the rest begins with field 3.
            ticks = sum(map(int, fields[11:15]))
            yield int(folder.name), (name, int(fields[1]), ticks / _TICKS)


@contextmanager
def taken(server: int) -> Iterator[Counter[str]]:
    """Give what each takes during the block, in seconds, once it has ended.

    :param server: Process of the server.
    """
    found: Counter[str] = Counter()
    before = seconds_of(server)
    yield found
    found.update(seconds_of(server) - before)
