"""``Content-Disposition``: the name that a client gives to a file that it saves (RFC 6266)."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from werkzeug.http import dump_options_header

UNNAMED = "download"
"""Name of a file that has no name, or none in ASCII."""

_REMOVED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of characters that are removed from names: control characters, surrogates, line separators."""

_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text, so that ``gpj.exe`` could look like ``exe.jpg``.

They are those with Unicode's property Bidi_Control.
"""

_MISREAD = str.maketrans(dict.fromkeys("/\\%\"'", "_"))
"""Characters that some clients take for a folder, an escape or the end of the name (RFC 6266, appendix D)."""

_ATTR_CHARS = "!#$&+-.^_`|~"
"""Characters besides letters and digits that are not encoded in ``filename*`` (RFC 8187, section 3.2.1)."""


def content_disposition(kind: str, filename: str) -> str:
    """Make the value of ``Content-Disposition`` (RFC 6266).

    A name that some clients could misread is sent in two forms: a plain one, which every client can use, and
    ``filename*`` for clients that know it.

    :param kind: ``attachment`` or ``inline``.
    :param filename: Name of the file. Control characters, and those that change the direction of text, are removed.
    :returns: The value, in ASCII.
    """
    name = "".join(char for char in filename if unicodedata.category(char) not in _REMOVED and char not in _REORDERING)
    if not name.strip(". "):
        name = UNNAMED
    elif name.startswith(".") and not filename.startswith("."):
        name = UNNAMED + name
    plain = _plain(name)
    options = {"filename": plain}
    if plain != name:
        options["filename*"] = f"UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return dump_options_header(kind, options)


def _plain(name: str) -> str:
    """Return a name in ASCII without folders, that is hidden only if the given name is, and keeps the extension.

    :param name: A name with characters other than dots and spaces.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").translate(_MISREAD)
    # Windows drops trailing dots and spaces.
    plain = plain.strip(" ").rstrip(". ")
    if plain.startswith(".") and not name.startswith("."):
        plain = f"{UNNAMED}.{plain.lstrip('. ')}"
    return plain or UNNAMED
