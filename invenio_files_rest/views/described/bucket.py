"""Uses of ``/files/<bucket>``."""

from __future__ import annotations

from ...archives.formats import FORMATS
from ...http.openapi.headers import TAGS_HEADER
from ...http.openapi.schemas import ref, several
from ...http.openapi.uses import Answer
from ...services.conditions import WRITE_CONDITIONS
from ...tus import draft, v1
from ..bucket import BucketResource
from .answers import (
    ANSWERED_BY_DRAFT,
    ANSWERED_BY_TUS,
    DIGESTS,
    DONE,
    DRAFT,
    OPTIONS,
    READING,
    SHOWN_TAGS,
    TAGS,
    TUS,
    sends,
    shows,
    use,
)

_ARCHIVE = use(
    BucketResource.archive,
    {
        **sends(tuple(sorted(form.mimetype for form in FORMATS.values())), "The archive."),
        307: Answer("The address of the state that the bucket is in.", types=("text/html",), headers=("Location",)),
        414: Answer("The server takes no URL of this length: name fewer keys.", types=("text/html",)),
    },
    *(401, 410, 412, 416),
    when="archive",
    also=(BucketResource.head,),
    headers=READING,
)

_OFFSET = {
    200: Answer(
        "How far the upload of tus is.",
        types=(),
        headers=(
            *("Upload-Concat", "Upload-Defer-Length", "Upload-Length", "Upload-Metadata"),
            *ANSWERED_BY_TUS,
        ),
    ),
    204: Answer("How far the upload of the draft is.", types=(), headers=("Upload-Length", *ANSWERED_BY_DRAFT)),
}

_APPENDED = {
    200: Answer("The version.", ref("ObjectVersion"), headers=("ETag", *ANSWERED_BY_DRAFT)),
    202: Answer("All bytes are there. The object will appear.", ref("Status"), headers=ANSWERED_BY_DRAFT),
    204: Answer("How far the upload is.", types=(), headers=(*ANSWERED_BY_TUS, *ANSWERED_BY_DRAFT)),
}

BUCKET = {
    "GET": (
        use(
            BucketResource.listobjects,
            shows("The bucket and its objects.", ref("BucketContents"), "Link"),
            401,
            also=(BucketResource.get,),
        ),
        use(BucketResource.multipart_listuploads, shows("Its uploads.", several("MultipartObject")), when="uploads"),
        _ARCHIVE,
        use(BucketResource.show_tags, SHOWN_TAGS, when="tags", headers=("If-None-Match",)),
        use(BucketResource.list_links, shows("Its links for others.", ref("ShareLinks"), "Link"), when="links"),
        use(
            BucketResource._show_upload,
            shows("The upload.", ref("Upload"), "Tus-Resumable"),
            *(405, 409, 410, 412, 423),
            when="uploadId",
            headers=TUS,
        ),
    ),
    "HEAD": (
        use(BucketResource.head, {200: Answer("The bucket exists, or the archive can be had.")}),
        _ARCHIVE,
        use(
            BucketResource._tell_offset,
            _OFFSET,
            *(405, 409, 410, 412, 423),
            when="uploadId",
            headers=(*TUS, "Upload-Draft-Interop-Version"),
        ),
    ),
    "OPTIONS": (use(BucketResource.options, OPTIONS),),
    "POST": (
        use(
            BucketResource.make_link,
            {201: Answer("The link, whose address is shown this once.", ref("NewShareLink"))},
            *(401, 412),
            when="links",
            headers=WRITE_CONDITIONS,
        ),
        use(
            BucketResource.snapshot,
            shows("The copy.", ref("Bucket")),
            *(401, 412),
            when="snapshot",
            flags=("lock",),
            headers=WRITE_CONDITIONS,
        ),
        use(
            BucketResource.sync,
            shows("The bucket, with the versions that have been added.", ref("BucketContents")),
            *(401, 412),
            when="sync",
            flags=("delete-extras",),
            headers=WRITE_CONDITIONS,
        ),
        use(
            BucketResource.extract,
            shows("The bucket, with the new versions.", ref("ExtractedContents")),
            *(409, 412, 507),
            when="extract",
            headers=(*WRITE_CONDITIONS, *DIGESTS, TAGS_HEADER),
            body=("*/*",),
        ),
        use(
            BucketResource._create_upload,
            {201: Answer("The upload has begun.", types=(), headers=ANSWERED_BY_TUS)},
            *(405, 409, 410, 412, 413, 415, 423, 429, 460, 501, 507),
            when="tus",
            headers=(
                *(*TUS, *WRITE_CONDITIONS, TAGS_HEADER, "Upload-Checksum", "Upload-Concat"),
                *("Upload-Defer-Length", "Upload-Length", "Upload-Metadata"),
            ),
            body=(v1.TYPE,),
        ),
    ),
    "PUT": (use(BucketResource.put_tags, TAGS, 405, 412, when="tags", headers=WRITE_CONDITIONS),),
    "PATCH": (
        use(BucketResource.change, shows("The bucket.", ref("Bucket")), 401, 412, headers=WRITE_CONDITIONS),
        use(
            BucketResource._append,
            _APPENDED,
            *(405, 409, 410, 412, 413, 415, 423, 460, 501, 507),
            when="uploadId",
            headers=(*TUS, *DRAFT, "Content-Digest", "Upload-Checksum", "Upload-Offset"),
            body=(v1.TYPE, draft.TYPE),
            problems=frozenset({400, 409}),
        ),
    ),
    "DELETE": (
        use(BucketResource.revoke_link, DONE, 412, when="linkId", headers=WRITE_CONDITIONS),
        use(BucketResource.delete_tags, DONE, 405, 412, when="tags", headers=WRITE_CONDITIONS),
        use(
            BucketResource._end_upload,
            {204: Answer("It is done.", types=(), headers=("Tus-Resumable",))},
            *(405, 409, 410, 412, 423),
            when="uploadId",
            headers=(*TUS, "Upload-Draft-Interop-Version"),
        ),
    ),
}
"""Uses of each method."""
