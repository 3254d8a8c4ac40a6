"""Paths and URIs of files and locations: making them, comparing them, and refusing those that lead elsewhere."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Iterator
from posixpath import dirname, join
from posixpath import split as split_path

from .errors import StorageError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL_SCHEMES = ("osfs", "file")


def make_path(base_uri: str, path: str, filename: str, path_dimensions: int, split_length: int) -> str:
    """Make the URI of a file in a location: ``<base>/2a/4f/39-5033-…/data``.

    The nested folders keep each folder small.

    :param base_uri: URI of the location.
    :param path: Identifier of the file, from which the names of the folders are made.
    :param filename: Name of the file in the innermost folder.
    :param path_dimensions: Number of folders to split off the identifier.
    :param split_length: Number of characters in each of their names.
    :returns: The URI.
    :raises AssertionError: If the identifier is too short for so many folders.
    """
    assert min(path_dimensions, split_length) >= 0, "A path has no negative number of folders or characters."
    split_at = path_dimensions * split_length
    assert len(path) > split_at, "The path is too short for so many folders."
    folders = [path[start : start + split_length] for start in range(0, split_at, split_length or 1)]
    separator = "" if not base_uri or base_uri.endswith("/") else "/"
    return base_uri + separator + "/".join([*folders, path[split_at:], filename])


def is_folder_for(url: str, path: str) -> bool:
    """Return whether the folder of a file was made for it by :func:`make_path`.

    :param url: URI of the file.
    :param path: Identifier of the file.
    """
    return dirname(url).replace("/", "").endswith(path)


def split_scheme(url: str) -> tuple[str | None, str]:
    """Split a URI into its scheme and the rest, refusing URIs that could lead out of their folder.

    :param url: URI, or a path on this machine, which is taken literally.
    :returns: The scheme in lower case, or ``None`` for a path; and what follows its ``://``.
    :raises StorageError: If a ``..`` follows a folder, or if it contains characters that a path cannot have.
    """
    match = _SCHEME.match(url)
    scheme, rest = (match[1].lower(), url[match.end() :]) if match else (None, url)
    segments = [segment for segment in rest.split("/") if segment not in ("", ".")]
    if not rest.startswith("/") and (scheme is None or scheme in _LOCAL_SCHEMES):
        # A relative location may lie above the working folder, which does not lead out of the location.
        while segments and segments[0] == "..":
            del segments[0]
    if not segments or ".." in segments or "\0" in rest:
        raise StorageError(f"The URI of a file is not allowed: {url!r}")
    try:
        os.fsencode(rest)
    except UnicodeEncodeError as error:
        raise StorageError(f"The URI of a file has characters of no path: {url!r}") from error
    return scheme, rest


def is_plain(url: str) -> bool:
    """Return whether a URI is an absolute path on this machine as it stands, which is quickly found out.

    :param url: URI, or a path.
    :returns: Whether it is; also ``False`` for some others, e.g. those that are not ASCII.
    """
    return url.startswith("/") and url.isascii() and not ("//" in url or "/." in url or "\0" in url or url[-1] == "/")


def local_path(url: str) -> str | None:
    """Return the path of a URI on this machine.

    :param url: URI, or a path.
    :returns: The path; ``None`` if the URI belongs to another file system.
    :raises StorageError: See :func:`split_scheme`.
    """
    if is_plain(url):
        return url
    scheme, rest = split_scheme(url)
    return os.path.expanduser(rest) if scheme is None or scheme in _LOCAL_SCHEMES else None


def local_folder(base_uri: str) -> str | None:
    """Return the folder of a location on this machine.

    :param base_uri: URI of the location, or its path.
    :returns: Its absolute path; ``None`` if the URI belongs to another file system, or is not allowed.
    """
    try:
        path = local_path(f"{base_uri}/data")
    except StorageError:
        return None
    return None if path is None else os.path.dirname(os.path.abspath(path))


def spellings(base_uri: str) -> set[str]:
    """Return the different ways to write the URI of a location, any of which the URIs of its files may begin with.

    :param base_uri: URI of the location, or its path.
    """
    folder = local_folder(base_uri)
    if folder is None:
        return {base_uri}
    paths = {base_uri, folder, os.path.realpath(folder)}
    return {scheme + path for path in paths for scheme in ("", *(f"{name}://" for name in _LOCAL_SCHEMES))}


def remote_spellings(base_uri: str, path: str) -> set[str]:
    """Return the ways to write the URI of a file on another file system.

    :param base_uri: URI of its location.
    :param path: Its path below the location.
    """
    scheme, folder = split_scheme(f"{base_uri}/data")
    below = join(dirname(folder).strip("/"), path)
    return {join(base_uri, path), f"{scheme}://{below}", f"{scheme}:///{below}"}


_TURNS = frozenset("?!@%")
"""Characters with which PyFilesystem would find another host, another path or an option in a URI."""


def is_allowed(base_uri: str, places: Iterable[str]) -> bool:
    """Return whether a location lies in one of several places, however it is written and with links resolved.

    :param base_uri: URI of the location, or its path.
    :param places: URIs or paths of folders, or schemes with their ``://``.
    :returns: Whether it does; ``False`` for a relative path, which depends on the working folder of the process.
    """
    try:
        scheme, path = split_scheme(f"{base_uri}/data")
    except StorageError:
        return False
    here = local_folder(base_uri)
    if here is not None:
        folder = os.path.realpath(here)
        roots = {os.path.realpath(root) for place in places if place and (root := local_folder(place)) is not None}
        return path.startswith("/") and any(os.path.commonpath([folder, root]) == root for root in roots)
    return any(
        place == f"{scheme}://"
        or (lies_within(f"{base_uri}/data", place) and not _TURNS.intersection(base_uri[len(place) :]))
        for place in places
    )


def lies_within(url: str, base_uri: str) -> bool:
    """Return whether a file lies in a location, by its URI alone.

    On this machine, a path made by :func:`make_path` lies in the location even if outer folders of it are links, since
    only the operator can put them there, to use another disk. The file itself and its own folder must not be links. Any
    other path must lie below the location after all links are resolved.

    :param url: URI of the file, or its path.
    :param base_uri: URI of the location, or its path.
    :returns: Whether it does; ``False`` for a URI that is not allowed.
    """
    try:
        scheme, path = split_scheme(url)
        if base_uri == f"{scheme}://":
            return True
        base_scheme, base = split_scheme(base_uri)
        if (here := local_path(url)) is not None and (base_here := local_path(base_uri)) is not None:
            path, base = os.path.realpath(here), os.path.realpath(base_here)
            if _root_of(os.path.abspath(here)) == base:
                return True
        elif scheme != base_scheme:
            return False
    except StorageError:
        return False
    return path.startswith(base.rstrip("/") + "/")


def _root_of(path: str) -> str | None:
    """Return the folder of the location for which :func:`make_path` made a path; ``None`` if it did not make it."""
    *_, outermost = "", *folders_of(path)
    root, folder = dirname(outermost), dirname(path)
    if not _is_uuid(folder[len(root) :].replace("/", "")) or os.path.islink(folder) or os.path.islink(path):
        return None
    return os.path.realpath(root)


def folders_to(base_uri: str) -> list[str]:
    """Return the scheme of a location and the names of the folders that lead to it, however its URI is written.

    :param base_uri: URI of the location, or its path.
    :returns: The scheme, empty for a folder on this machine, and the names; an empty list if the URI is not allowed.
    """
    file = f"{base_uri}/data"
    try:
        scheme, path = split_scheme(file)
        here = local_path(file)
    except StorageError:
        return []
    folder = dirname(path) if here is None else os.path.realpath(dirname(here))
    return [scheme or "" if here is None else "", *(name for name in folder.split("/") if name not in ("", "."))]


def folders_inside(base_uri: str, uris: Iterable[str]) -> set[str]:
    """Find the locations that lie in another one, however they are spelled.

    :param base_uri: URI of the other location.
    :param uris: URIs of locations.
    :returns: Their paths below the other one, each with a slash at its end.
    """
    own = folders_to(base_uri)
    found = [names for uri in uris if (names := folders_to(uri))[: len(own)] == own and names != own]
    return {"/".join(names[len(own) :]) + "/" for names in found}


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def folders_of(path: str) -> Iterator[str]:
    """Return the folders that were made for a file, from the innermost outwards.

    These are its own folder, and the folders above it if their names together are the identifier that :func:`make_path`
    has split. The folder of a location is one of them only if the file lies directly in it, which our files never do.

    :param path: Path of the file.
    :returns: The paths of the folders. All but the innermost may be shared with other files.
    """
    folder = split_path(path)[0]
    if not folder or folder.endswith("/"):
        return
    yield folder
    parent, name = split_path(folder)
    inner: list[str] = []
    while parent and name and len(name) < 36:
        if not (last := split_path(parent))[1]:
            return
        inner.append(parent)
        name = last[1] + name
        if _is_uuid(name):
            yield from inner
            return
        parent = last[0]
