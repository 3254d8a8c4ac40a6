"""Keys of objects: what may be one, and how a URL names it.

Clients take segments ``.`` and ``..`` out of the path of a URL, percent-encoded or not (RFC 3986, section 5.2.4, and
the URL standard of browsers), and so would ask for something else. No new key has such a segment. Old ones that have
are named by two paths, which clients leave as they are:

- Slashes next to such a segment are encoded, ``..%2Fx``, so that it is a part of a longer one. Web servers that look at
  the decoded path, as nginx does to choose a location, may still take it out.
- In a link with the identifier of a version or an upload, the dots are encoded twice, ``%252E%252E/x``. Decoded once,
  this is a key that there may be, too, so that only the identifier tells what is meant.
"""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import quote, unquote

from flask import current_app

from .errors import InvalidKeyError

_DOT_SEGMENTS = {".": "%2E", "..": "%2E%2E"}

_PATH_SAFE = "!$&'()*+,/:;=@~"
"""Characters that stand for themselves in the path of a URL (RFC 3986, section 3.3)."""

_QUOTED = {code: quote(chr(code), safe=_PATH_SAFE) for code in range(128)}
"""What the characters of ASCII are in the path of a URL."""


def validate_key(key: str) -> str:
    """Check the key of an object against ``FILES_REST_OBJECT_KEY_MAX_LEN``.

    :param key: The key.
    :returns: The key.
    :raises InvalidKeyError: If it is too long, or holds what no database stores as text: a null character or half of
        a surrogate pair.
    """
    if len(key) > current_app.config["FILES_REST_OBJECT_KEY_MAX_LEN"]:
        raise InvalidKeyError()
    if "\0" in key or any("\ud800" <= character <= "\udfff" for character in key):
        raise InvalidKeyError(description="Filename has characters that cannot be stored.")
    return key


def validate_new_key(key: str) -> str:
    """Check a key that somebody chooses for an object.

    :param key: The key.
    :returns: The key.
    :raises InvalidKeyError: If :func:`validate_key` refuses it, or it has a segment ``.`` or ``..``.
    """
    if has_dot_segment(key):
        raise InvalidKeyError(description="Filename has a segment '.' or '..', so that its link would lead elsewhere.")
    return validate_key(key)


def has_dot_segment(key: str) -> bool:
    """Tell whether a key has a segment ``.`` or ``..``.

    :param key: The key.
    """
    return (key.startswith(".") or "/." in key) and not _DOT_SEGMENTS.keys().isdisjoint(key.split("/"))


def paths_of(key: str) -> tuple[str | None, str]:
    """Return the paths that name a key below the URL of its bucket.

    :param key: The key.
    :returns: The path of the object, ``None`` where none can name it, and the path in links with an identifier of a
        version or an upload. They are the same unless the key has a segment ``.`` or ``..``.
    """
    path = _quoted(key)
    if not has_dot_segment(key):
        return path, path
    return None if key in _DOT_SEGMENTS else _with_joined_dots(path), _quoted(_with_encoded_dots(key))


def key_with_encoded_dots(key: str) -> str | None:
    """Return the key that another one stands for, in a request with an identifier.

    :param key: What the path of the request names.
    :returns: The key, which has a segment ``.`` or ``..``; ``None`` where the other one stands for itself alone.
    """
    meant = unquote(key)
    return meant if has_dot_segment(meant) and _with_encoded_dots(meant) == key else None


def _quoted(key: str) -> str:
    return key.translate(_QUOTED) if key.isascii() else quote(key, safe=_PATH_SAFE)


def _with_joined_dots(path: str) -> str:
    segments = path.split("/")
    slashes = ("/" if _DOT_SEGMENTS.keys().isdisjoint(pair) else "%2F" for pair in pairwise(segments))
    return segments[0] + "".join(slash + segment for slash, segment in zip(slashes, segments[1:], strict=True))


def _with_encoded_dots(key: str) -> str:
    return "/".join(_DOT_SEGMENTS.get(segment) or segment.replace("%", "%25") for segment in key.split("/"))
