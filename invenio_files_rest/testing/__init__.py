"""Tests for whoever builds on this package: the behaviour that every storage backend must have."""

from .storage import StorageContract

__all__ = ("StorageContract",)
