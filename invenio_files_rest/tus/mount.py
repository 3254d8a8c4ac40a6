"""The URLs of uploads, below that of their bucket as the request came by: that of a record's files, for one."""

from __future__ import annotations

import uuid

from flask import request, url_for
from werkzeug.routing import BuildError

from ..http.links import bucket_url
from ..keys import paths_of


def mount(bucket_id: uuid.UUID) -> str:
    """Return the URL of the bucket under which the request came.

    :param bucket_id: Identifier of the bucket.
    """
    endpoint = str(request.endpoint)
    if endpoint.endswith("object_api"):
        endpoint = endpoint.removesuffix("object_api") + "bucket_api"
    arguments = {name: value for name, value in (request.view_args or {}).items() if name != "key"}
    # What converters of persistent identifiers make of the URL knows its value.
    arguments = {name: getattr(value, "value", value) for name, value in arguments.items()}
    try:
        return url_for(endpoint, **arguments, _external=True)
    except BuildError:
        # A view of somebody else's, whose bucket has no URL of its own.
        return bucket_url(bucket_id)


def upload_url(bucket_id: uuid.UUID, upload_id: uuid.UUID) -> str:
    """Return the URL of an upload.

    :param bucket_id: Identifier of its bucket.
    :param upload_id: Its identifier.
    """
    return f"{mount(bucket_id)}?uploadId={upload_id}"


def version_url(bucket_id: uuid.UUID, key: str, version_id: uuid.UUID) -> str:
    """Return the URL of what an upload has become.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param version_id: Identifier of the version.
    """
    _, path = paths_of(key)
    return f"{mount(bucket_id)}/{path}?versionId={version_id}"
