"""Names in archives: keys, with what is dangerous or impossible in a path percent-encoded.

Whoever unpacks an archive gets no file outside the folder in which he unpacks. Two keys never have the same name.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(
    r"""
    (?:(?<=\A)|(?<=/))\.{1,2}(?=/|\Z)   # segments that lead to this folder and to the one above
    | (?<=\A)/ | (?<=/)/ | /(?=\Z)      # slashes that begin or end an empty segment
    | (?<=\A[A-Za-z]):                  # the drive of a path of Windows
    | [\\\x00-\x1f\x7f]                 # its separator, and control characters
    | %(?=[0-9A-Fa-f]{2})               # what would look like one of these
    """,
    re.VERBOSE,
)

_SUSPECT = re.compile(r"[\\%:\x00-\x1f\x7f]|(?:\A|/)[./]|/\Z")
"""What every name has in which something may have to be encoded; this is quickly found out."""


def _encode(match: re.Match[str]) -> str:
    return "".join(f"%{ord(character):02X}" for character in match[0])


class Names:
    """Gives keys in order of their bytes their names.

    If there are objects ``a`` and ``a/b``, an archive could not be unpacked, since ``a`` would be a file and a folder;
    then the second one is named ``a%2Fb``.

    :param before: Keys before the first one that it begins with, as in :attr:`before`.
    """

    def __init__(self, before: tuple[str, ...] = ()) -> None:
        """Store the keys."""
        self._before = list(before)

    @property
    def before(self) -> tuple[str, ...]:
        """Keys that the next one may begin with, each of which the one after it begins with."""
        return tuple(self._before)

    def name(self, key: str) -> str:
        """Return the name of a key.

        :param key: The key, which follows those that were given before.
        """
        before = self._before
        while before and not key.startswith(before[-1]):
            before.pop()
        files = [len(earlier) for earlier in before if key[len(earlier)] == "/"] if before else ()
        before.append(key)
        if not files and _SUSPECT.search(key) is None:
            return key
        start, name = 0, ""
        for end in files:
            name, start = name + _ESCAPED.sub(_encode, key[start:end]) + "%2F", end + 1
        return name + _ESCAPED.sub(_encode, key[start:])
