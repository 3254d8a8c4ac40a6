"""Suites of tests for storages of others, one for each thing that a storage can do."""

from .listable import ListableContract
from .local_path import LocalPathContract
from .parts import PartsContract
from .saving import SavingContract
from .sending import SendingContract
from .storage import StorageContract
from .uploads import UploadsContract

__all__ = (
    "ListableContract",
    "LocalPathContract",
    "PartsContract",
    "SavingContract",
    "SendingContract",
    "StorageContract",
    "UploadsContract",
)
