"""What every storage must do, as a suite of tests to subclass; and its parts, for a storage that does not do all of it.

::

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def make_storage(self):
            return lambda name, size=None: MyStorage(f"my://bucket/{name}/data", size=size)

The suites need pytest, and :class:`.SendingContract` Flask; nothing of the database.
"""

from __future__ import annotations

from .memory import MemoryStorage
from .parts import PartsContract
from .saving import SavingContract
from .sending import SendingContract
from .streams import MIB, GeneratedStream

__all__ = (
    "MIB",
    "GeneratedStream",
    "MemoryStorage",
    "PartsContract",
    "SavingContract",
    "SendingContract",
    "StorageContract",
)


class StorageContract(SavingContract, PartsContract, SendingContract):
    """The documented methods. Each test is one promise of :class:`~invenio_files_rest.storage.FileStorage`."""
