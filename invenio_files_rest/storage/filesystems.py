"""Finding the file system of a URI, and the store for a file system."""

from __future__ import annotations

import os
from posixpath import basename, dirname
from threading import Lock
from typing import Any

from ..errors import StorageError
from ..paths import local_path, split_scheme
from ._pyfilesystem import FS, OSFS, MemoryFS, SubFS, TempFS, fs_errors, open_fs
from .fsspec import FsspecStore
from .local_store import LocalStore
from .pyfilesystem_store import PyFilesystemStore
from .store import Store
from .writeback import CACHED_SHARE

_MAKERS = {"osfs": lambda: OSFS(os.sep), "mem": MemoryFS, "temp": TempFS}
_WRITTEN_AT_CLOSE = ("tar", "zip")
"""Schemes of file systems that lose their files if the process ends before they are closed."""

_open: dict[str, FS] = {}
_lock = Lock()


def _shared(scheme: str) -> FS:
    """Return the file system of a scheme, one for the whole process.

    PyFilesystem makes a new one for ``mem://`` and ``temp://`` each time, in which no other request would find a file.
    """
    filesystem = _open.get(scheme)
    if filesystem is None or filesystem.isclosed():
        with _lock:
            filesystem = _open.get(scheme)
            if filesystem is None or filesystem.isclosed():
                filesystem = _open[scheme] = _MAKERS[scheme]()
    return filesystem


def filesystem_of(url: str, create_dir: bool) -> tuple[FS, str]:
    """Return the file system of a URI, and the path of the file in it.

    :param url: URI, or a path on this machine.
    :param create_dir: Whether to make the file's folder.
    :returns: File system, and path of the file in it.
    :raises StorageError: If the URI is not allowed.
    :raises FileNotFoundError: If the file system has no such folder, and is not to make it.
    """
    path = local_path(url)
    if path is not None:
        filesystem, path = _shared("osfs"), os.path.abspath(path)
    else:
        scheme, path = split_scheme(url)
        if scheme not in _MAKERS:
            return _opened(url, create_dir)
        filesystem = _shared(scheme)
    if create_dir:
        filesystem.makedirs(dirname(path), recreate=True)
    return filesystem, path


def _opened(url: str, create_dir: bool) -> tuple[FS, str]:
    """Open the folder of a file as a file system, with the openers of PyFilesystem and of other packages."""
    if create_dir and (scheme := split_scheme(url)[0]) in _WRITTEN_AT_CLOSE:
        raise StorageError(f"{scheme}:// is an archive, of which nothing is on disk before it is closed.")
    try:
        return open_fs(dirname(url), writeable=create_dir, create=create_dir), basename(url)
    except fs_errors.CreateFailed as error:
        if create_dir:
            raise
        raise FileNotFoundError("The folder cannot be opened.") from error


def store_of(filesystem: Any, path: str, cached_share: float = CACHED_SHARE) -> tuple[Store, str]:
    """Return the store for a file system.

    :param filesystem: A PyFilesystem, or an object with ``open``, ``exists`` and ``rm`` as fsspec has them.
    :param path: Path of a file in it.
    :param cached_share: See :class:`.LocalFile`.
    :returns: The store, and the path of the file in the store.
    """
    if not isinstance(filesystem, FS):
        return FsspecStore(filesystem), path
    if _has_files_as_they_are(filesystem):
        return LocalStore(cached_share), filesystem.getsyspath(path)
    return PyFilesystemStore(filesystem), path


def local_path_of(filesystem: Any, path: str) -> str | None:
    """Return the path at which this machine keeps a file, in whatever form the file system writes it.

    :param filesystem: The file system.
    :param path: Path of the file in it.
    :returns: The path; ``None`` if the file is not kept on this machine.
    """
    try:
        return str(filesystem.getsyspath(path)) if isinstance(filesystem, FS) else None
    except fs_errors.NoSysPath:
        return None


def _has_files_as_they_are(filesystem: FS) -> bool:
    """Return whether a file system opens files of this machine as :func:`open` does, without changing their bytes."""
    while isinstance(filesystem, SubFS):
        filesystem = filesystem.delegate_fs()
    own = type(filesystem)
    return isinstance(filesystem, OSFS) and own.openbin is OSFS.openbin and own.open is OSFS.open
