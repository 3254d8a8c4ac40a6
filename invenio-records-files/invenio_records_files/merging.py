"""Merging the changes that two writers of a record have made to ``_files``.

Each writer knows the list as it was when it read the record. The difference between that and the list it wants to write
is its change, which is applied to the list as the other writer left it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Entry = dict[str, Any]

_ABSENT = object()


def by_key(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return entries by key, in order.

    :param entries: The list of a record's files.
    """
    return {entry["key"]: entry for entry in entries if "key" in entry}


def merge_files(base: list[Entry], mine: list[Entry], theirs: list[Entry]) -> list[Entry]:
    """Merge the changes of two writers to the list of a record's files.

    All entries that either of them added, changed or removed are added, changed or removed. If both changed the same
    value, the later writer wins; if it stored a new version, that stays even if the other one removed the object.

    :param base: The list that both started with.
    :param mine: The list of the later writer. Its entries are changed in place, so that code that holds one sees the
        changes.
    :param theirs: The list as the earlier writer left it.
    :returns: The merged list, in the order of the writer that changed the order; of the later one if both did.
    """
    before, ours, others = by_key(base), by_key(mine), by_key(theirs)
    mine_ordered = _order(before, ours) != _order(ours, before)
    first, second = (ours, others) if mine_ordered else (others, ours)
    merged = []
    for key in dict.fromkeys([*first, *second]):
        entry = _merge_entry(before.get(key), ours.get(key), others.get(key))
        if entry is not None:
            merged.append(entry)
    return merged


def _order(entries: dict[str, Entry], common: dict[str, Entry]) -> list[str]:
    return [key for key in entries if key in common]


def _merge_entry(base: Entry | None, mine: Entry | None, theirs: Entry | None) -> Entry | None:
    if mine is None:
        return theirs if base is None else None
    if theirs is None:
        return mine if base is None or mine.get("version_id") != base.get("version_id") else None
    base = base or {}
    for name in dict.fromkeys([*theirs, *mine]):
        old = base.get(name, _ABSENT)
        if mine.get(name, _ABSENT) != old:
            continue
        value = theirs.get(name, _ABSENT)
        if value is _ABSENT:
            del mine[name]
        else:
            mine[name] = value
    return mine
