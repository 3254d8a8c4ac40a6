"""How much memory this process may have: that of the machine, or what its container is allowed; and keeping it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")

_FREED = 4 * 1024**2
"""Size in bytes of a block that is freed so that twice as much is kept; less where there is little memory."""


@cache
def memory_size() -> int:
    """Return the number of bytes. The page cache of what a container reads and writes counts as the container's."""
    return min([_of_machine(), *_limits_of_container()])


def _of_machine() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _limits_of_container() -> Iterator[int]:
    """Find the limits of the control groups of this process, and of those above them (cgroups(7), versions 1 and 2)."""
    with suppress(OSError):
        for line in _OWN_GROUPS.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                yield from _limits(_GROUPS, path, "memory.max")
            elif "memory" in controllers.split(","):
                yield from _limits(_GROUPS / "memory", path, "memory.limit_in_bytes")


def _limits(groups: Path, path: str, name: str) -> Iterator[int]:
    own = groups / path.lstrip("/")
    for folder in (own, *own.parents):
        # Not all of them are to be seen in the container, and one without a limit says "max".
        with suppress(OSError, ValueError):
            yield int((folder / name).read_text())


@cache
def keep_freed_memory() -> None:
    """Have the C library keep memory that becomes free for what comes next: up to 8 MiB of each thread.

    glibc gives free memory at the end of a heap back to the system where it is more than twice the largest block that
    has been freed, and threads have heaps of their own (mallopt(3), on its dynamic threshold). What is taken anew comes
    page by page, which takes a virtual machine about as long as to fill it. A block of zeros that is freed at once
    takes no memory. Settings of the operator's are kept to, and other libraries do as they do.
    """
    bytes(min(_FREED, memory_size() // 256))
