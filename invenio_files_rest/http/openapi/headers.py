"""What headers, flags of the query and statuses mean."""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
TIME = {"type": "string", "description": "Date and time (RFC 9110, section 5.6.7)."}

TAGS_HEADER = "X-Invenio-File-Tags"
"""Stands for the header that ``FILES_REST_FILE_TAGS_HEADER`` names."""

ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "Content-Digest": ("Digests of the body (RFC 9530): `md5`, `sha-256`, `sha-512`.", TEXT),
    "Content-MD5": ("MD5 of the body in base64 (RFC 1864).", TEXT),
    "Content-Range": ("Refused where it says that the body is a part of the file.", TEXT),
    "If-Match": ("Only where the object has one of these entity tags.", TEXT),
    "If-Modified-Since": ("Only where it was modified later.", TEXT),
    "If-None-Match": ("Only where it has none of these entity tags; `*`: only where there is no object.", TEXT),
    "If-Range": ("The range, only where this is still its entity tag or date; else all of it.", TEXT),
    "If-Unmodified-Since": ("Only where it was not modified later.", TEXT),
    "Range": ("Range of bytes, `bytes=first-last`.", TEXT),
    "Repr-Digest": ("Digests of the file (RFC 9530): `md5`, `sha-256`, `sha-512`.", TEXT),
    "Tus-Resumable": ("Version of tus, `1.0.0`; it makes a request one of tus.", TEXT),
    "Upload-Checksum": ("tus: name of an algorithm, a space, and the digest of the body in base64.", TEXT),
    "Upload-Complete": ("IETF draft: `?1` where the request has the end of the file, `?0` where it has not.", TEXT),
    "Upload-Concat": ("tus: `partial`, or `final;` and the URLs of uploads.", TEXT),
    "Upload-Defer-Length": ("tus: `1` where the length is not known yet.", TEXT),
    "Upload-Draft-Interop-Version": ("IETF draft: version that the client speaks, 3 to 8.", TEXT),
    "Upload-Incomplete": ("IETF draft, version 3: the contrary of `Upload-Complete`.", TEXT),
    "Upload-Length": ("Length of the whole file, in bytes.", TEXT),
    "Upload-Metadata": ("tus: pairs of a name and a value in base64. `key` or `filename` names the object.", TEXT),
    "Upload-Offset": ("Where the body begins in the file, in bytes.", TEXT),
    TAGS_HEADER: ("Tags of the version, `key1=value1&key2=value2`, percent-encoded.", TEXT),
}
"""Request headers."""

ANSWERED: dict[str, tuple[str, dict[str, Any]]] = {
    "Accept-Ranges": ("`bytes`, where ranges can be asked for.", TEXT),
    "Allow": ("The methods of the resource.", TEXT),
    "Cache-Control": ("Who may keep the answer.", TEXT),
    "Content-Disposition": ("Whether a browser shows the file, or saves it, and under which name.", TEXT),
    "Content-Language": ("Language of the message, by `Accept-Language`.", TEXT),
    "Content-MD5": ("MD5 of the file in hexadecimal digits, as clients of Invenio expect it.", TEXT),
    "Content-Range": ("Which bytes of how many these are.", TEXT),
    "Content-Security-Policy": ("What a browser may do with the file.", TEXT),
    "ETag": ("Entity tag: the checksum of the file.", TEXT),
    "Expires": ("Until when a cache may keep the answer.", TIME),
    "Last-Modified": ("When the version became the latest one.", TIME),
    "Link": ("The next page of a listing, as `rel=next`.", TEXT),
    "Location": ("URL of what has been made, or where to go on.", {"type": "string", "format": "uri-reference"}),
    "Repr-Digest": ("Digest of the whole file (RFC 9530).", TEXT),
    "Retry-After": ("Seconds after which to try again.", COUNT),
    "Tus-Checksum-Algorithm": ("The algorithms of `Upload-Checksum`.", TEXT),
    "Tus-Extension": ("The extensions of tus.", TEXT),
    "Tus-Max-Size": ("Largest size of an upload, in bytes.", COUNT),
    "Tus-Resumable": ("Version of tus.", TEXT),
    "Tus-Version": ("The versions of tus.", TEXT),
    "Upload-Complete": ("IETF draft: whether the upload has all its bytes.", {"enum": ["?0", "?1"]}),
    "Upload-Concat": ("tus: as it was given.", TEXT),
    "Upload-Defer-Length": ("tus: `1` where the length is not known yet.", TEXT),
    "Upload-Expires": ("tus: until when the upload can be gone on with.", TIME),
    "Upload-Incomplete": ("IETF draft, version 3: the contrary of `Upload-Complete`.", {"enum": ["?0", "?1"]}),
    "Upload-Length": ("Length of the whole file, in bytes.", COUNT),
    "Upload-Limit": ("IETF draft: limits of uploads, `max-size` in bytes and `max-age` in seconds.", TEXT),
    "Upload-Metadata": ("tus: as it was given.", TEXT),
    "Upload-Offset": ("How many bytes have come.", COUNT),
    "Vary": ("The request headers that the answer depends on.", TEXT),
    "WWW-Authenticate": ("The scope that the token lacks.", TEXT),
    "X-Accel-Buffering": ("Has nginx pass the answer on as it comes.", TEXT),
    "X-Content-Type-Options": ("`nosniff`.", TEXT),
    "X-Download-Options": ("`noopen`.", TEXT),
    "X-Frame-Options": ("`deny`.", TEXT),
    "X-Permitted-Cross-Domain-Policies": ("`none`.", TEXT),
    "X-XSS-Protection": ("`1; mode=block`.", TEXT),
}
"""Headers of answers."""

EVERYWHERE = ("Cache-Control", "Vary")
"""Headers that every answer may have."""

FLAGS = {
    "copy": "Key of the object to copy.",
    "delete-extras": "Delete objects that the other bucket has not.",
    "extract": "The body is an archive, of which each file becomes an object.",
    "links": "It is about links for others, where the application has them.",
    "lock": "Lock the copy.",
    "prettyprint": "Indent JSON, for people.",
    "restore": "Make an earlier version, that `versionId` names, the latest one.",
    "snapshot": "Copy the objects of the bucket to a new one.",
    "sync": "Give the bucket the objects of the bucket that `from` names.",
    "tags": "It is about the tags.",
    "tus": "Begin an upload of tus.",
}
"""Query arguments that need no value: what counts is whether they are there."""

REFUSALS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("The request is wrong: the message tells what.", ("Upload-Complete", "Upload-Offset")),
    401: ("One has to authenticate oneself for this.", ()),
    403: ("The permission, or the scope of the token, is missing, or the bucket is locked.", ("WWW-Authenticate",)),
    404: ("It does not exist, or is hidden.", ()),
    405: ("The method is not for this resource with these arguments.", ("Allow",)),
    406: ("There is no answer of a type that `Accept` has.", ()),
    409: ("Somebody else has changed it meanwhile, or is changing it.", ("Upload-Complete", "Upload-Offset")),
    410: ("It cannot be had, or gone on with, any more.", ()),
    412: ("A condition of the request does not hold, or the version of tus is another one.", ("Tus-Version",)),
    413: ("There are more bytes than a limit, the quota, or the length of the upload has it.", ("Upload-Limit",)),
    415: ("The body is not of the type that is needed.", ()),
    416: ("The file has no bytes in the range.", ("Content-Range",)),
    422: ("An argument is not valid: `errors` names each, and tells why.", ()),
    423: ("Another request is writing to the upload, and has not stopped yet. Try again.", ("Retry-After",)),
    429: ("The bucket has too many open uploads.", ("Retry-After",)),
    460: ("The body has not the checksum of `Upload-Checksum`. Nothing of it was kept.", ()),
    500: ("The server has failed. Its log has the cause.", ()),
    501: ("The storage of the bucket takes whole files alone.", ()),
    503: ("The server is busy, or its storage is away. Try again later.", ("Retry-After",)),
    507: ("The storage is full.", ()),
}
"""What each status of a refusal means, and the headers that it may have, of those in :data:`ANSWERED`."""

EVERY_REFUSAL = frozenset({400, 403, 404, 406, 500, 503})
"""Statuses of refusals that everything may have."""
