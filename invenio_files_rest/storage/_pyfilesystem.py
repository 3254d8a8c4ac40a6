"""The one place that imports PyFilesystem (``fs``).

``fs`` 2.4.16 takes two functions from ``pkg_resources``, which setuptools dropped in version 82 and which warned of its
end long before. While ``fs`` is imported, a stand-in with these two functions takes the place of ``pkg_resources``, so
that ``fs`` works with every setuptools and with none, and warns nobody. ``fs`` keeps the stand-in, to find the openers
that other packages add; everyone else finds ``pkg_resources`` as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

_NAME = "pkg_resources"
_MISSING = object()


def _iter_entry_points(group: str, name: str | None = None) -> Iterator[EntryPoint]:
    """Find the entry points of a group, or those of one name in it."""
    return iter(entry_points(group=group) if name is None else entry_points(group=group, name=name))


def _declare_namespace(package: str) -> None:
    """Do nothing: the packages of ``fs`` are found without being declared."""


_stand_in = ModuleType(_NAME)
_stand_in.__dict__.update(iter_entry_points=_iter_entry_points, declare_namespace=_declare_namespace)

_original = sys.modules.get(_NAME, _MISSING)
sys.modules[_NAME] = _stand_in
try:
    from fs import errors as fs_errors
    from fs import open_fs
    from fs.base import FS
    from fs.memoryfs import MemoryFS
    from fs.opener.errors import OpenerError
    from fs.osfs import OSFS
    from fs.subfs import SubFS
    from fs.tempfs import TempFS
finally:
    if _original is _MISSING:
        del sys.modules[_NAME]
    else:
        sys.modules[_NAME] = _original  # type: ignore[assignment]

__all__ = ("FS", "OSFS", "MemoryFS", "OpenerError", "SubFS", "TempFS", "fs_errors", "open_fs")
