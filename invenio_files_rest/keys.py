"""Keys of objects: which are valid, and how URLs name them.

Clients remove segments ``.`` and ``..`` from the path of a URL, percent-encoded or not (RFC 3986, section 5.2.4, and
the URL standard of browsers), and would then request something else. New keys cannot have such segments. Old keys with
such segments are named by two kinds of paths, which clients leave unchanged:

- Slashes next to such a segment are encoded, as in ``..%2Fx``, so that it is part of a longer segment. Web servers that
  look at the decoded path, as nginx does to choose a location, may still remove it.
- In a link with the identifier of a version or an upload, the dots are encoded twice, as in ``%252E%252E/x``. Decoded
  once, this may be another existing key, but the identifier shows which one is meant.
"""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import quote, unquote

from flask import current_app

from .errors import InvalidKeyError
from .messages import lazy_gettext as _

_DOT_SEGMENTS = {".": "%2E", "..": "%2E%2E"}

_PATH_SAFE = "!$&'()*+,/:;=@~"
"""Characters that are not encoded in the path of a URL (RFC 3986, section 3.3)."""

_QUOTED = {code: quote(chr(code), safe=_PATH_SAFE) for code in range(128)}
"""The ASCII characters as they are encoded in the path of a URL."""


def validate_key(key: str) -> str:
    """Check the key of an object against ``FILES_REST_OBJECT_KEY_MAX_LEN``.

    :param key: The key.
    :returns: The key.
    :raises InvalidKeyError: If it is too long, or contains a null character or a surrogate, which databases cannot
        store as text.
    """
    if len(key) > current_app.config["FILES_REST_OBJECT_KEY_MAX_LEN"]:
        raise InvalidKeyError()
    if "\0" in key or (not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key)):
        raise InvalidKeyError(description=_("Filename has characters that cannot be stored."))
    return key


def validate_new_key(key: str) -> str:
    """Check the key of a new object.

    :param key: The key.
    :returns: The key.
    :raises InvalidKeyError: If :func:`validate_key` refuses it, or it has a segment ``.`` or ``..``.
    """
    if has_dot_segment(key):
        raise InvalidKeyError(
            description=_("Filename has a segment '.' or '..', so that its link would lead elsewhere.")
        )
    return validate_key(key)


def has_dot_segment(key: str) -> bool:
    """Return whether a key has a segment ``.`` or ``..``.

    :param key: The key.
    """
    return (key.startswith(".") or "/." in key) and not _DOT_SEGMENTS.keys().isdisjoint(key.split("/"))


def paths_of(key: str) -> tuple[str | None, str]:
    """Return the paths for a key below the URL of its bucket.

    :param key: The key.
    :returns: The path of the object, or ``None`` if no path can name it; and the path for links with the identifier of
        a version or an upload. They are the same unless the key has a segment ``.`` or ``..``.
    """
    path = _quoted(key)
    if not has_dot_segment(key):
        return path, path
    return None if key in _DOT_SEGMENTS else _with_joined_dots(path), _quoted(_with_encoded_dots(key))


def key_with_encoded_dots(key: str) -> str | None:
    """Return the old key that is meant by a key with encoded dots, in a request with an identifier.

    :param key: The key in the path of the request.
    :returns: The old key, which has a segment ``.`` or ``..``; ``None`` if the key has no encoded dots.
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
