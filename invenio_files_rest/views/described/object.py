"""Uses of ``/files/<bucket>/<key>``."""

from __future__ import annotations

from ...http.file_response import MIMETYPE_WHITELIST
from ...http.openapi.headers import TAGS_HEADER
from ...http.openapi.schemas import ref
from ...http.openapi.uses import Answer
from ...http.upload_body import ngfileupload_uploadfactory, stream_uploadfactory
from ...services.conditions import WRITE_CONDITIONS
from ..multipart import default_partfactory, ngfileupload_partfactory
from ..object import ObjectResource
from .answers import (
    ANSWERED_BY_DRAFT,
    DIGESTS,
    DONE,
    DRAFT,
    OPTIONS,
    READING,
    SHOWN_TAGS,
    STORED,
    TAGS,
    sends,
    shows,
    use,
)

_TYPES = tuple(sorted({*MIMETYPE_WHITELIST, "application/octet-stream"}))

_SEND = use(
    ObjectResource.send_object,
    sends(_TYPES, "The file."),
    *(401, 405, 412, 416),
    also=(ObjectResource.get,),
    headers=READING,
)

_COMPLETED = Answer(
    "White space while it takes, then the upload, or a status and a message where it failed.",
    {"anyOf": [ref("MultipartObject"), ref("Status")]},
    headers=("X-Accel-Buffering",),
)

_STORED = {
    200: Answer("The version.", ref("ObjectVersion"), headers=("ETag", *ANSWERED_BY_DRAFT)),
    201: Answer("An upload of the draft has begun.", types=(), headers=ANSWERED_BY_DRAFT),
    202: Answer("All bytes are there. The object will appear.", ref("Status"), headers=ANSWERED_BY_DRAFT),
}

_STORE = use(
    ObjectResource.create_object,
    _STORED,
    *(409, 410, 412, 413, 423, 429, 501, 507),
    also=(stream_uploadfactory, ngfileupload_uploadfactory),
    headers=(*WRITE_CONDITIONS, *DIGESTS, *DRAFT, TAGS_HEADER, "Content-Range"),
    body=("*/*",),
    problems=frozenset({400, 409}),
)

OBJECT = {
    "GET": (
        _SEND,
        use(ObjectResource.show_tags, SHOWN_TAGS, when="tags", headers=("If-None-Match",)),
        use(
            ObjectResource.multipart_listparts,
            shows("The upload and its parts.", ref("MultipartParts")),
            when="uploadId",
        ),
    ),
    "HEAD": (_SEND,),
    "OPTIONS": (use(ObjectResource.options, OPTIONS),),
    "PUT": (
        _STORE,
        use(
            ObjectResource.multipart_uploadpart,
            shows("The part.", ref("Part"), "ETag"),
            *(409, 412, 507),
            when="uploadId",
            also=(ObjectResource.put, default_partfactory, ngfileupload_partfactory),
            body=("*/*",),
        ),
        use(ObjectResource.copy_or_move, STORED, 401, 409, 412, when="copy", headers=(*WRITE_CONDITIONS, TAGS_HEADER)),
        use(
            ObjectResource.put_tags,
            TAGS,
            *(401, 412),
            when="tags",
            also=(ObjectResource._replace_tags,),
            headers=WRITE_CONDITIONS,
        ),
    ),
    "POST": (
        use(
            ObjectResource.multipart_init,
            shows("The upload.", ref("MultipartObject")),
            *(412, 507),
            when="uploads",
            also=(ObjectResource.post,),
            headers=WRITE_CONDITIONS,
        ),
        use(
            ObjectResource.multipart_complete,
            {200: _COMPLETED},
            *(409, 412),
            when="uploadId",
            headers=WRITE_CONDITIONS,
            body=("application/json",),
        ),
        use(ObjectResource.restore, STORED, 401, 409, 412, when="restore", headers=(*WRITE_CONDITIONS, TAGS_HEADER)),
        _STORE,
    ),
    "DELETE": (
        use(
            ObjectResource.delete_object,
            DONE,
            *(401, 405, 409, 412),
            also=(ObjectResource.delete,),
            headers=WRITE_CONDITIONS,
        ),
        use(ObjectResource.multipart_delete, DONE, when="uploadId"),
        use(
            ObjectResource.delete_tags,
            DONE,
            *(401, 412),
            when="tags",
            also=(ObjectResource._replace_tags,),
            headers=WRITE_CONDITIONS,
        ),
    ),
}
"""Uses of each method."""
