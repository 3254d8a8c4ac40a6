"""Bytes: the interface to where files are stored, and its implementation on PyFilesystem.

Nothing here knows the database; the storage of a file is made by a factory from the file's URI.
"""

from .base import FileStorage
from .pump import VerifiedStream
from .pyfs import PyFSFileStorage, pyfs_storage_factory

__all__ = ("FileStorage", "PyFSFileStorage", "VerifiedStream", "pyfs_storage_factory")
