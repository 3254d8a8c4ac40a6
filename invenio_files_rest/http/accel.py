"""``X-Accel-Redirect``: we check the permission and send the headers, the web server in front sends the bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from flask import Response, current_app, request

from ..errors import FileInstanceUnreadableError, StorageError
from ..paths import local_path
from ..services.conditions import to_the_second
from ..services.presence import ensure_reachable
from ..storage.capabilities import LocalPath, capability_of
from .file_response import Representation, md5_of
from .preconditions import check_preconditions, last_modified_of

if TYPE_CHECKING:
    from ..models import FileInstance, ObjectVersion

DEFAULT_PREFIX = "/user_files/"
"""Internal URI of the root of the file system, or of the remote storage, if no mapping is set."""


def internal_uri(uri: str) -> str | None:
    """Return the internal URI of a file in the web server in front, by ``FILES_REST_XSENDFILE_MAPPING``.

    :param uri: URI of the file, or its path.
    :returns: The internal URI, percent-encoded; ``None`` if the web server does not have the file.
    """
    mapping = current_app.config.get("FILES_REST_XSENDFILE_MAPPING")
    try:
        wanted = _absolute(uri)
        if not mapping:
            path = wanted if local_path(uri) is not None else urlsplit(wanted).path
            return DEFAULT_PREFIX + quote(os.fsencode(path.removeprefix("/")))
        for base in sorted(mapping, key=len, reverse=True):
            folder = _absolute(base).rstrip("/") + "/"
            if wanted.startswith(folder):
                return mapping[base].rstrip("/") + "/" + quote(os.fsencode(wanted.removeprefix(folder)))
    except StorageError:
        pass
    return None


def _absolute(uri: str) -> str:
    """Return the absolute path of a URI on this machine, or the URI itself if it is elsewhere.

    :raises StorageError: If it could lead out of its folder.
    """
    path = local_path(uri)
    return uri if path is None else os.path.abspath(path)


def _ensure_there(file: FileInstance, path: str) -> None:
    """Check that the location of a file is not away, and that the file has the size in its row.

    A missing file is not refused, since the web server does not find it either.
    """
    try:
        found = os.stat(path).st_size
    except FileNotFoundError:
        ensure_reachable(file.uri)
        return
    except OSError:
        return
    if file.size is not None and found != file.size:
        raise StorageError(f"The file {file.uri} has {found} bytes, not {file.size}.")


def create_file_streaming_redirect_response(obj: ObjectVersion) -> Response:
    """Make the response that lets the web server in front send a file, by ``X-Accel-Redirect``.

    ``FILES_REST_XSENDFILE_MAPPING`` determines the internal URI of the file. We send a file ourselves if the web server
    does not have it; if it is on this machine but its storage has no
    :class:`~invenio_files_rest.storage.capabilities.LocalPath`, since its bytes on the disk may not be the content; or
    if the request has ``If-Match`` or ``If-Unmodified-Since``, which nginx would compare with its own data about the
    file.

    :param obj: The object version to send.
    :returns: The response, without a body if the web server sends the file.
    :raises FileInstanceUnreadableError: If the file is not readable.
    :raises StorageError: If the file is on this machine and does not have the size in its row.
    :raises LocationAwayError: If the file is on this machine and its location is away.
    :raises PreconditionFailed: If a condition of the request does not hold.
    """
    file = obj.file
    if not file.readable:
        raise FileInstanceUnreadableError()
    as_attachment = "download" in request.args
    last_modified = to_the_second(last_modified_of(request, obj))
    target = internal_uri(file.uri)
    local = None
    if target is not None and local_path(file.uri) is not None:
        local = capability_of(file.storage(), LocalPath)
        if local is None:
            target = None
    if target is None or "If-Match" in request.headers or "If-Unmodified-Since" in request.headers:
        return obj.send_file(as_attachment=as_attachment, last_modified=last_modified)
    response = Representation(
        filename=obj.basename,
        last_modified=last_modified,
        mimetype=obj.mimetype,
        as_attachment=as_attachment,
        etag=file.checksum,
    ).response()
    if not check_preconditions(request, file.checksum, last_modified):
        response.status_code = 304
        return response
    # Other files only the web server has.
    if local is not None:
        _ensure_there(file, local.path)
    if "Range" not in request.headers and (md5 := md5_of(file.checksum)):
        response.headers["Content-MD5"] = md5
    response.headers["X-Accel-Redirect"] = target
    return response
