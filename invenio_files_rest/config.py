"""Settings and their defaults.

The value of a setting for a factory is the factory itself or its import path.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Response

    from .models import ObjectVersion

MAX_CONTENT_LENGTH = 16 * 1024 * 1024
"""Largest body of a form or of JSON, in bytes, not counting a file that is stored as it comes.

The file of a form, as ng-file-upload sends it, is stored as it comes where it follows the fields that tell of it, and
has no limit here, nor has a body that is a file itself. A form with the file first, or with several files, is kept in
temporary files until all of it is there, as Flask does with every form: that is what is limited. So a large value wants
room on the disk. :class:`invenio_files_rest.app.Flask` has this default; in an application of another class the setting
is Flask's own, which has none.
"""

FILES_REST_ALLOW_RANGE_REQUESTS = True
"""Serve parts of files to requests with ``Range`` (RFC 9110, section 14)."""

FILES_REST_ARCHIVE_MAX_ENTRIES = 100_000
"""Largest number of entries, folders included, of an archive that is taken apart."""

FILES_REST_ARCHIVE_MAX_EXPANSION = 200
"""How many times its own size an archive that is taken apart may have without compression. 16 MiB are always taken."""

FILES_REST_ARCHIVES_AT_ONCE = 2
"""Largest number of archives that a process sends at once, see :doc:`/howto/archives`; requests for more get 503.

Each takes a thread of the server for as long as its client takes to read it: leave some for other requests.
"""

FILES_REST_CHECKSUM_ALGORITHM = "md5"
"""Algorithm for the checksums of new files: ``md5``, ``sha256``, ``sha512``, ``blake2b``, ``blake3`` or ``xxh3``.

The last two need the extras with these names; ``xxh3`` is XXH3 with 128 bits, which is not a cryptographic hash. Files
that are already stored keep their checksums and are verified with their algorithms. Downloads have ``Content-MD5`` only
with MD5, and ``Repr-Digest`` with MD5 and SHA-2.
"""

FILES_REST_DEFAULT_MAX_FILE_SIZE = None
"""Largest size in bytes of a file in a new bucket; ``None`` for no limit."""

FILES_REST_DEFAULT_QUOTA_SIZE = None
"""Quota in bytes of a new bucket; ``None`` for no limit."""

FILES_REST_DEFAULT_STORAGE_CLASS = "S"
"""Storage class of a new bucket, one of :data:`FILES_REST_STORAGE_CLASS_LIST`."""

FILES_REST_DOWNLOAD_MIN_RATE = None
"""Smallest rate of a download in bytes per second, so that a slow client cannot keep a worker busy for ever; ``None``
for no limit.

Set it, to 1000 say, where clients connect to the server directly. If a client is slower for longer than
:data:`FILES_REST_DOWNLOAD_PATIENCE`, its connection is closed. The limit works on Linux, with gunicorn, uWSGI and
Werkzeug's server, and does not apply behind a proxy in ``PROXYFIX_CONFIG``, which has deadlines of its own. It is off
by default, since a buffering proxy that is not configured there takes nothing while its client reads what has been
buffered, and would be cut off.
"""

FILES_REST_DOWNLOAD_PATIENCE = 60
"""Seconds for which a client may be slower than :data:`FILES_REST_DOWNLOAD_MIN_RATE`."""

FILES_REST_FILE_TAGS_HEADER = "X-Invenio-File-Tags"
"""Name of the request header that sets tags of an upload, as ``key1=value1&key2=value2``."""

FILES_REST_FILE_URI_MAX_LEN = 255
"""Largest length of a file's URI, in characters. On MySQL and MariaDB, the column is limited to 255."""

FILES_REST_GRANT_CREATOR = False
"""Allow whoever creates a bucket over REST, or in the pages, all actions on it but ``files-rest-location-update``.

They are granted to the user in the transaction that creates the bucket. Off, whoever may create a bucket cannot use it
until somebody else allows it.
"""

FILES_REST_LOCATION_URIS: list[str] = []
"""Allowed places for new locations, and for changed URIs of locations: folders, and URIs of other storage systems.
Empty to allow any place.

``["/var/lib/files", "s3://archive"]`` allows this folder and those below it, and this bucket and everything in it;
``s3://`` allows all buckets. It does not matter how a folder is written (``file://``, ``osfs://``, links), but its path
must be absolute, since a relative path or ``~`` depends on the process. Existing locations are not affected.
"""

FILES_REST_LOG_FORMAT = None
"""Write a line for each request, and for each file that is stored, read or deleted, each refusal and each task: see
:doc:`/reference/telemetry`. ``json`` for lines of JSON, ``text`` for lines for people, ``auto`` for ``text`` on a
terminal and ``json`` elsewhere; ``None`` for none."""

FILES_REST_METRICS_ADDRESSES: list[str] = []
"""Addresses and networks that may have the metrics, at ``/api/files/metrics``, as in ``["127.0.0.1", "10.0.0.0/8"]``.

Behind a proxy set ``PROXYFIX_CONFIG``, so that the application knows the addresses of its clients: without it, nobody
has the metrics that comes through the proxy. Where neither this is set nor :data:`FILES_REST_METRICS_TOKEN`, there are
none.
"""

FILES_REST_METRICS_CACHE_SECONDS = 30
"""Seconds for which the metrics show what the database knew, since that takes statements that read whole tables."""

FILES_REST_METRICS_TOKEN = None
"""Token with which one may have the metrics, as ``Authorization: Bearer``."""

FILES_REST_MIN_FILE_SIZE = 1
"""Smallest size of an uploaded file, in bytes: 1 refuses empty files, 0 takes them."""

FILES_REST_MULTIPART_CHUNKSIZE_MAX = 5 * 1024**3
"""Largest part size of a multipart upload, in bytes."""

FILES_REST_MULTIPART_CHUNKSIZE_MIN = 5 * 1024**2
"""Smallest part size of a multipart upload, in bytes; its last part may be smaller."""

FILES_REST_MULTIPART_EXPIRES = timedelta(days=4)
"""Time after its last use when a multipart upload takes no more parts and may be removed."""

FILES_REST_MULTIPART_MAX_PARTS = 10000
"""Largest number of parts of a multipart upload."""

FILES_REST_MULTIPART_PART_FACTORIES = [
    "invenio_files_rest.views:default_partfactory",
    "invenio_files_rest.views:ngfileupload_partfactory",
]
"""Factories that find a part in a request; the first one that does is used, see :doc:`/howto/uploads`."""

FILES_REST_OBJECT_KEY_MAX_LEN = 255
"""Largest length of an object's key, in characters. On MySQL and MariaDB, the column is limited to 255."""

FILES_REST_PAGES_DOCS: str | None = None
"""Where pages send people who want to read the documentation of this service; ``None`` for nowhere."""

FILES_REST_PAGES_ENABLED = False
"""Show pages for people in the user interface, at ``/`` and ``/buckets``: see :doc:`/howto/pages`."""

FILES_REST_PERMISSION_FACTORY = "invenio_files_rest.permissions.permission_factory"
"""Factory ``(obj, action) -> permission`` with which every request is checked."""

FILES_REST_REQUEST_ID_HEADER = "X-Request-ID"
"""Header with the identifier of a request, as the web server in front sets it; ``None`` to make one for each request.

It is in the answer, in the log, and in the messages of the tasks that the request sends. Up to 128 letters, digits and
``._:+/=@-`` are taken for one; for anything else one is made.
"""

FILES_REST_REQUIRE_SCOPES = False
"""Refuse every OAuth token that has not the scope ``files:read`` or ``files:write``, as the request needs it.

A token that has one of them is held to those it has in any case. Off, one that has neither, as all have that are older
than these scopes, may do what its user may.
"""

FILES_REST_S3_DIRECT_UPLOAD: timedelta | None = None
"""Time for which the links are valid with which clients send parts of multipart uploads to the object store themselves.

``None`` for no links: parts come through the application.
"""

FILES_REST_S3_LOCATIONS: dict[str, dict[str, Any]] = {}
"""Locations in object stores with the API of S3, by their URIs ``s3://bucket/prefix``; see :doc:`/howto/s3`.

Each is described by a dictionary, in which all may be left out: ``endpoint_url``, ``region_name``,
``addressing_style``, ``access_key_id``, ``secret_access_key``, ``session_token``, ``part_size`` in bytes,
``parallel_parts``, ``attempts``, ``timeout`` in seconds. What is left out boto3 takes from the environment. A URI
``s3://`` that lies in none of these locations is PyFilesystem's.
"""

FILES_REST_S3_REDIRECT: timedelta | None = None
"""Time for which the links are valid with which clients are sent to the object store to download a file.

``None`` for no links: the application sends the file.
"""

FILES_REST_S3_REDIRECT_INLINE: list[str] = []
"""MIME types of images that a browser may show when it is sent to the object store, e.g. ``image/png``.

Everything else it saves, because the object store sends none of the headers that keep a file from being run.
"""

FILES_REST_SHARES_ENABLED = False
"""Let whoever may store objects in a bucket make links for others, who need no account: see :doc:`/howto/shares`."""

FILES_REST_SHARES_EXPIRES = timedelta(days=30)
"""Time after which a link for others expires whose maker does not say when."""

FILES_REST_SHARES_EXPIRES_MAX = timedelta(days=365)
"""Longest time for which a link for others can be made."""

FILES_REST_SIZE_LIMITERS = "invenio_files_rest.limiters.file_size_limiters"
"""Function ``(bucket) -> limits`` that returns the limits on the next file in a bucket."""

FILES_REST_STORAGE_CLASS_LIST = {"S": "Standard", "A": "Archive"}
"""Names of storage classes by their letters. The operator defines what they mean."""

FILES_REST_STORAGE_FACTORY = "invenio_files_rest.storage.pyfs_storage_factory"
"""Factory that makes the storage interface of a file."""

FILES_REST_STORAGE_PATH_DIMENSIONS = 2
"""Number of nested folders into which a file's identifier is split."""

FILES_REST_STORAGE_PATH_SPLIT_LENGTH = 2
"""Number of characters in each of these folders' names."""

FILES_REST_TASK_FUNCTIONS: list[str] = []
"""Import paths of functions that messages to workers may name: as ``files_query`` of
:func:`~invenio_files_rest.tasks.schedule_checksum_verification` and ``force_delete_check`` of
:func:`~invenio_files_rest.tasks.clear_orphaned_files`.

Functions that ``CELERY_BEAT_SCHEDULE`` passes to our tasks need not be listed. All others are refused, since a message
could name any function.
"""

FILES_REST_TASK_WAIT_INTERVAL = 2
"""Interval in seconds between the spaces that keep a connection open while a client waits for a task."""

FILES_REST_TASK_WAIT_MAX_SECONDS = 600
"""Largest time for which a client waits for a task, in seconds."""

FILES_REST_UPLOADS_MAX_OPEN = 1000
"""Largest number of uploads that a bucket may have in progress, without the multipart uploads of the REST API.

Each keeps its bytes until it is completed, aborted, or :data:`FILES_REST_MULTIPART_EXPIRES` have passed since its last
use. Requests for more are answered with 429.
"""

FILES_REST_UPLOADS_UNUSED_EXPIRES = timedelta(days=1)
"""Time after which an upload of tus may be removed that was created without a byte, if nobody asks for it.

It counts in the bucket, and the client may never have learned of it: where the answer is lost, it creates another one.
A client that creates many first, and sends their bytes one after the other, has to come to each of them within this
time. From its first request on an upload has :data:`FILES_REST_MULTIPART_EXPIRES`.
"""

FILES_REST_UPLOADS_WAIT_SECONDS = 10
"""Seconds that the last request of a resumable upload waits for a worker that makes a file of it.

Then it is answered that all bytes are there, and the object follows. An upload that came in one go to one process needs
no worker.
"""

FILES_REST_UPLOAD_104 = False
"""Tell clients of the IETF draft where to resume an upload while its first request is still on its way, with an interim
response ``104 (Upload Resumption Supported)``.

For gunicorn and Werkzeug's server where clients reach them directly: web servers in front may take it for the answer,
as nginx does.
"""

FILES_REST_UPLOAD_CACHED_SHARE = 1 / 64
"""Largest size of a new file that stays in memory as a whole, as a share of the memory, since a file that has just been
stored is often read next: for a preview, for its checksum, or by who has uploaded it.

1/64 is 64 MiB on a server of 4 GiB, and 4 GiB on one of 256 GiB; in a container it is a share of what that is allowed.
The system takes this memory back whenever it needs it. Of a longer file only the last 32 MiB stay, so that it does not
displace the files that others read. ``0`` has it so with all files, ``1`` with none that fit. This works on Linux, for
locations that are folders. The storage factory gives it to the storage, as ``cached_share``.
"""

FILES_REST_UPLOAD_FACTORIES = [
    "invenio_files_rest.views:stream_uploadfactory",
    "invenio_files_rest.views:ngfileupload_uploadfactory",
]
"""Factories that find a file in a request; the first one that does is used, see :doc:`/howto/uploads`.

Factories that read the body as a stream have to come before those that parse it as a form.
"""

FILES_REST_UPLOAD_MIN_RATE = 1000
"""Smallest rate at which a client must send a body, in bytes per second, so that slow clients do not occupy workers
forever; ``None`` for no limit.

A client that is slower for longer than :data:`FILES_REST_UPLOAD_PATIENCE` gets a 408 (RFC 9110, section 15.5.9), and
nothing of the upload is kept. This works with gunicorn, uWSGI and Werkzeug's server; other servers, and web servers in
front, have settings of their own.
"""

FILES_REST_UPLOAD_PATIENCE = 30
"""Seconds for which a client may be slower than :data:`FILES_REST_UPLOAD_MIN_RATE`, since networks sometimes stall."""

FILES_REST_XSENDFILE_ENABLED = False
"""Answer a download with ``X-Accel-Redirect``, so that the web server in front sends the bytes."""

FILES_REST_XSENDFILE_MAPPING: dict[str, str] = {}
"""Internal URIs of the files in the web server in front, by the URIs of locations or folders.

With ``{"/data/files": "/internal/files"}``, the internal URI of the file ``/data/files/2a/data`` is
``/internal/files/2a/data``. The longest matching URI is used; files that match none are sent without the web server. If
the setting is empty, the internal URI is ``/user_files/`` and the path from the root:
``/user_files/data/files/2a/data``.
"""


def FILES_REST_XSENDFILE_RESPONSE_FUNC(obj: ObjectVersion) -> Response:  # noqa: N802 (a setting)
    """Make the response with which the web server in front sends the file of an object.

    :param obj: The object version to send.
    :returns: The response, without a body.
    """
    from .helpers import create_file_streaming_redirect_response

    return create_file_streaming_redirect_response(obj)
