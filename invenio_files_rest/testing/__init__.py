"""Tests for whoever builds on this package: the behaviour that every storage backend must have."""

from .storage import StorageContract
from .uploads import UploadsContract

__all__ = ("StorageContract", "UploadsContract")
