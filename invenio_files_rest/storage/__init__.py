"""Bytes: the interface to where files are stored, and its implementation on PyFilesystem.

Nothing here knows the database; the storage of a file is made by a factory from the file's URI.
"""

from .base import FileStorage
from .pyfs import PyFSFileStorage, pyfs_storage_factory
from .stream import VerifiedStream

__all__ = ("FileStorage", "PyFSFileStorage", "VerifiedStream", "pyfs_storage_factory")
