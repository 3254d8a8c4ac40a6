"""Translating errors of file systems to ``OSError`` or :class:`~invenio_files_rest.errors.StorageError`."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from types import TracebackType

from ..errors import FileSizeError, StorageError, StorageFullError
from ._pyfilesystem import OpenerError, fs_errors

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_ERRNO_OF = {
    fs_errors.ResourceNotFound: errno.ENOENT,
    fs_errors.PermissionDenied: errno.EACCES,
    fs_errors.ResourceReadOnly: errno.EROFS,
    fs_errors.FileExpected: errno.EISDIR,
    fs_errors.DirectoryExpected: errno.ENOTDIR,
    fs_errors.DirectoryNotEmpty: errno.ENOTEMPTY,
    fs_errors.FileExists: errno.EEXIST,
    fs_errors.DirectoryExists: errno.EEXIST,
}


def _translate(error: Exception) -> Exception:
    """Return what an error of PyFilesystem or of the operating system is translated to."""
    if isinstance(error, fs_errors.InsufficientStorage):
        return StorageFullError(str(error))
    if isinstance(error, OSError):
        if error.errno == errno.EFBIG:
            return FileSizeError(str(error))
        return StorageFullError(str(error)) if error.errno in _FULL else error
    for kind, number in _ERRNO_OF.items():
        if isinstance(error, kind):
            # The path of an error of PyFilesystem is relative to a folder that the log would not show.
            return OSError(number, os.strerror(number))
    return StorageError(f"{type(error).__name__}: {error}")


class _Translation:
    """Translates the errors of a block. It is entered several times for each file, and a generator takes longer."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, (OSError, fs_errors.FSError, fs_errors.IllegalBackReference, OpenerError)):
            translated = _translate(error)
            if translated is not error:
                raise translated from error


_TRANSLATION = _Translation()


def translated_errors() -> AbstractContextManager[None]:
    """Translate the errors of a file system that are raised inside.

    :raises StorageFullError: If no space is left.
    :raises FileSizeError: If the file is too large for the file system.
    :raises OSError: If the error has a number, e.g. ``FileNotFoundError``.
    :raises StorageError: Otherwise; its description does not contain the path.
    """
    return _TRANSLATION
