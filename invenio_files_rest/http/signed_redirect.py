"""Sending a client to the storage itself, with a signed link."""

from __future__ import annotations

from flask import Response, current_app, request

from ..storage.capabilities import Signer
from .disposition import content_disposition

_CONDITIONS = "If-Match", "If-Modified-Since", "If-Range", "If-Unmodified-Since"
"""Conditions that a client repeats where it is sent to. They mean something else there: the storage has other entity
tags and dates, and some send a range whatever ``If-Range`` says."""


def redirect_to(signer: Signer, described: Response, filename: str | None) -> Response | None:
    """Make the response that sends a client to the storage, if ``FILES_REST_S3_REDIRECT`` says so.

    The storage sends none of the headers that keep a browser from running a file. So the file is an attachment, unless
    it is of one of the types of images that ``FILES_REST_S3_REDIRECT_INLINE`` names.

    :param signer: What signs the link.
    :param described: The response that would send the file.
    :param filename: Name of the file.
    :returns: The response; ``None`` if the application is to send the file, as it is to one that has conditions.
    :raises StorageError: If the link cannot be signed.
    """
    valid = current_app.config.get("FILES_REST_S3_REDIRECT")
    if not valid or any(name in request.headers for name in _CONDITIONS):
        return None
    mimetype = described.mimetype or "application/octet-stream"
    inline = mimetype.startswith("image/") and mimetype in current_app.config["FILES_REST_S3_REDIRECT_INLINE"]
    disposition = "inline" if inline else content_disposition("attachment", filename or "")
    headers = {"Cache-Control": "private", "Content-Disposition": disposition, "Content-Type": mimetype}
    response = current_app.response_class(status=302)
    response.location = signer.link(int(valid.total_seconds()), headers)
    # The next one who asks may not be allowed to, and the link does not live long.
    response.cache_control.no_store = True
    return response
