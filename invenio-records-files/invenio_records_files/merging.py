"""Two writers of one record: what both did to ``_files`` is in it afterwards.

Each writer knows how the list was when it read the record. The difference between that and what it wants to write is
what it did, and that is done to the list as the other writer left it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Entry = dict[str, Any]

_ABSENT = object()


def by_key(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return entries by the keys of their objects, in order.

    :param entries: The list of a record's files.
    """
    return {entry["key"]: entry for entry in entries if "key" in entry}


def merge_files(base: list[Entry], mine: list[Entry], theirs: list[Entry]) -> list[Entry]:
    """Merge what two writers did to the list of a record's files.

    An entry that one of them added, changed or removed is added, changed or removed. Where both changed the same value,
    it is the later writer's; a new version that it stored stays, whether or not the other removed the object.

    :param base: The list as both began with it.
    :param mine: The list of the later writer. Its entries are changed in place, so that who holds one has what is
        written.
    :param theirs: The list as the earlier writer left it.
    :returns: The merged list, in the order of the one who changed the order: the later writer where both did.
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
