"""Bytes: the interface to the storage of a file, and its implementation on PyFilesystem.

Nothing here uses the database. A factory makes the storage of a file from the file's URI.
"""

from .base import FileStorage
from .pump import VerifiedStream
from .pyfs import PyFSFileStorage, pyfs_storage_factory

__all__ = ("FileStorage", "PyFSFileStorage", "VerifiedStream", "pyfs_storage_factory")
