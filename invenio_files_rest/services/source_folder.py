"""Reading the files of a local folder without following links out of it.

The folder may belong to somebody else, who could put a link into it to a file that only this process may read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, Any

# Not blocking, in case a pipe has taken the place of a file.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """A folder, or a single file.

    :param source: Its path, which may contain links.
    :param follow_links: Whether to follow links to files outside the folder. Links to folders are never followed.
    :param passed_over: Called with a sentence for each link that is not followed.
    """

    def __init__(self, source: str | os.PathLike[str], follow_links: bool, passed_over: Callable[[str], Any]) -> None:
        """Resolve the path."""
        self.path = os.path.realpath(source)
        self._name = None if os.path.isdir(self.path) else os.path.basename(os.path.abspath(source))
        self._follow_links = follow_links
        self._tell = passed_over

    def names(self) -> Iterator[str]:
        """Return the relative paths of everything below the folder except folders, in order; for a file, its name.

        :raises OSError: If a folder does not exist or cannot be read.
        """
        if self._name is not None:
            yield self._name
            return

        def fail(error: OSError) -> None:
            raise error

        for folder, folders, names in os.walk(self.path, onerror=fail):
            folders.sort()
            for name in folders:
                if os.path.islink(path := os.path.join(folder, name)):
                    self._tell(f"{path} is a link to a folder.")
            yield from (os.path.relpath(os.path.join(folder, name), self.path) for name in sorted(names))

    def open(self, name: str) -> IO[bytes] | None:
        """Open a file.

        :param name: Its path below the folder.
        :returns: The file, which the caller has to close; ``None`` if it is not a file, or a link that is not followed.
        :raises OSError: If it cannot be read.
        """
        if self._name is not None:
            return _file(os.open(self.path, _READ))
        path = os.path.join(self.path, name)
        mode = os.lstat(path).st_mode
        try:
            if stat.S_ISLNK(mode):
                return self._linked(path)
            return _file(self._open_below(name)) if stat.S_ISREG(mode) else None
        except OSError as error:
            if stat.S_ISLNK(mode) and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                return None
            raise

    def _linked(self, path: str) -> IO[bytes] | None:
        if self._follow_links:
            return _file(os.open(path, _READ)) if os.path.isfile(path) else None
        target = os.path.realpath(path)
        if not target.startswith(os.path.join(self.path, "")):
            self._tell(f"{path} is a link that leads out of the folder.")
            return None
        return _file(self._open_below(os.path.relpath(target, self.path))) if os.path.isfile(target) else None

    def _open_below(self, name: str) -> int:
        """Open a file below the folder without following links, even one that has just replaced a file or folder."""
        *folders, last = name.split(os.sep)
        here = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                os.close(here)
                here = inner
            return os.open(last, _READ | os.O_NOFOLLOW, dir_fd=here)
        finally:
            os.close(here)


def _file(descriptor: int) -> IO[bytes] | None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None
