"""The suite for all documented methods of a storage.

::

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def make_storage(self):
            return lambda name, size=None: MyStorage(f"my://bucket/{name}/data", size=size)

It consists of three suites, which can also be used one by one. They need pytest, and Flask for ``send_file``, but no
database.
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
