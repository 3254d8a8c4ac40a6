"""Settings and their defaults.

A setting that names a factory holds the factory itself or its import path.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

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

FILES_REST_CHECKSUM_ALGORITHM = "md5"
"""What new files are hashed with: ``md5``, ``sha256``, ``sha512``, ``blake2b``, ``blake3`` or ``xxh3``.

The last two need the extras of these names; ``xxh3`` is XXH3 of 128 bits, and no cryptographic hash. What is stored
keeps its checksum, and is verified with the algorithm of that. Downloads have ``Content-MD5`` with MD5 alone,
``Repr-Digest`` with MD5 and SHA-2.
"""

FILES_REST_DEFAULT_MAX_FILE_SIZE = None
"""Largest size in bytes of a file in a new bucket; ``None`` for no limit."""

FILES_REST_DEFAULT_QUOTA_SIZE = None
"""Quota in bytes of a new bucket; ``None`` for no limit."""

FILES_REST_DEFAULT_STORAGE_CLASS = "S"
"""Storage class of a new bucket, one of :data:`FILES_REST_STORAGE_CLASS_LIST`."""

FILES_REST_DOWNLOAD_MIN_RATE = 1000
"""Smallest rate of a download in bytes per second, so that a slow client cannot keep a worker busy for ever; ``None``
for no limit.

If a client is slower for longer than :data:`FILES_REST_DOWNLOAD_PATIENCE`, its connection is closed. The limit works on
Linux, with gunicorn, uWSGI and Werkzeug's server, and does not apply behind a proxy in ``PROXYFIX_CONFIG``, which has
deadlines of its own. Turn it off behind a buffering proxy that is not configured there: it takes nothing while its
client reads what has been buffered.
"""

FILES_REST_DOWNLOAD_PATIENCE = 60
"""Seconds for which a client may be slower than :data:`FILES_REST_DOWNLOAD_MIN_RATE`."""

FILES_REST_FILE_TAGS_HEADER = "X-Invenio-File-Tags"
"""Name of the request header that sets tags of an upload, as ``key1=value1&key2=value2``."""

FILES_REST_FILE_URI_MAX_LEN = 255
"""Largest length of a file's URI, in characters. On MySQL and MariaDB the column has no more than 255."""

FILES_REST_LOCATION_URIS: list[str] = []
"""Where a new location may be, or one whose URI is changed: folders, and URIs of other storage systems. Empty for
anywhere.

``["/var/lib/files", "s3://archive"]`` allows this folder and those below it, and this bucket and what is in it;
``s3://`` allows all buckets. A folder is what it is whatever its spelling (``file://``, ``osfs://``, links). Its path
has to be absolute, since a relative one or ``~`` means another folder in another process. Locations that are there
stay.
"""

FILES_REST_MIN_FILE_SIZE = 1
"""Smallest size of an uploaded file, in bytes: 1 refuses empty files, 0 takes them."""

FILES_REST_MULTIPART_CHUNKSIZE_MAX = 5 * 1024**3
"""Largest part size of a multipart upload, in bytes."""

FILES_REST_MULTIPART_CHUNKSIZE_MIN = 5 * 1024**2
"""Smallest part size of a multipart upload, in bytes; its last part may be smaller."""

FILES_REST_MULTIPART_EXPIRES = timedelta(days=4)
"""Time without use after which a multipart upload takes no more parts, and may be removed."""

FILES_REST_MULTIPART_MAX_PARTS = 10000
"""Largest number of parts of a multipart upload."""

FILES_REST_MULTIPART_PART_FACTORIES = [
    "invenio_files_rest.views:default_partfactory",
    "invenio_files_rest.views:ngfileupload_partfactory",
]
"""Factories that find a part in a request; the first that finds one is taken, see :doc:`uploads`."""

FILES_REST_OBJECT_KEY_MAX_LEN = 255
"""Largest length of an object's key, in characters. On MySQL and MariaDB the column has no more than 255."""

FILES_REST_PAGES_DOCS = "https://invenio-files-rest.readthedocs.io/"
"""Where pages send people who want to read the documentation; ``None`` for nowhere."""

FILES_REST_PAGES_ENABLED = False
"""Show pages for people in the user interface, at ``/`` and ``/buckets``: see :doc:`pages`."""

FILES_REST_PERMISSION_FACTORY = "invenio_files_rest.permissions.permission_factory"
"""Factory ``(obj, action) -> permission`` that every request is checked with."""

FILES_REST_REQUIRE_SCOPES = False
"""Refuse every OAuth token that has not the scope ``files:read`` or ``files:write``, as the request needs it.

A token that has one of them is held to those it has in any case. Off, one that has neither, as all have that are older
than these scopes, may do what its user may.
"""

FILES_REST_SIZE_LIMITERS = "invenio_files_rest.limiters.file_size_limiters"
"""Function ``(bucket) -> limits`` that gives the limits on the next file of a bucket."""

FILES_REST_STORAGE_CLASS_LIST = {"S": "Standard", "A": "Archive"}
"""Storage classes by their letter: what kind of storage a file is on, as the operator defines it."""

FILES_REST_STORAGE_FACTORY = "invenio_files_rest.storage.pyfs_storage_factory"
"""Factory that makes the storage interface of a file."""

FILES_REST_STORAGE_PATH_DIMENSIONS = 2
"""Number of folders, one in another, that a file's identifier is split into."""

FILES_REST_STORAGE_PATH_SPLIT_LENGTH = 2
"""Number of characters of each of these folders' names."""

FILES_REST_TASK_FUNCTIONS: list[str] = []
"""Import paths of functions that messages to workers may name, as ``files_query`` of
:func:`~invenio_files_rest.tasks.schedule_checksum_verification` and ``force_delete_check`` of
:func:`~invenio_files_rest.tasks.clear_orphaned_files`.

Those that ``CELERY_BEAT_SCHEDULE`` has for our tasks are registered with it. Others are refused, for a message could
name any function there is.
"""

FILES_REST_TASK_WAIT_INTERVAL = 2
"""Seconds between two spaces that keep a connection open while a client waits for a task."""

FILES_REST_TASK_WAIT_MAX_SECONDS = 600
"""Seconds that a client waits for a task at most."""

FILES_REST_UPLOADS_MAX_OPEN = 1000
"""Largest number of uploads of free shape that a bucket may have in progress at once.

Each keeps its bytes until it is completed or aborted, or :data:`FILES_REST_MULTIPART_EXPIRES` after its last use. More
are answered 429. Multipart uploads of the documented REST API are not counted.
"""

FILES_REST_UPLOAD_FACTORIES = [
    "invenio_files_rest.views:stream_uploadfactory",
    "invenio_files_rest.views:ngfileupload_uploadfactory",
]
"""Factories that find a file in a request; the first that finds one is taken, see :doc:`uploads`.

One that reads the body as it comes has to stand before those that parse it as a form.
"""

FILES_REST_UPLOAD_MIN_RATE = 1000
"""Bytes per second that a client has to send of a body, so that a slow one cannot hold a worker for ever; ``None`` for
no limit.

Who sends less for longer than :data:`FILES_REST_UPLOAD_PATIENCE` is answered 408 (RFC 9110, section 15.5.9), and
nothing stays of the upload. It works with gunicorn, uWSGI and Werkzeug's server; other servers, and web servers in
front, have settings of their own.
"""

FILES_REST_UPLOAD_PATIENCE = 30
"""Seconds that bytes may come later than :data:`FILES_REST_UPLOAD_MIN_RATE` has it, as networks stop for a while."""

FILES_REST_XSENDFILE_ENABLED = False
"""Answer a download with ``X-Accel-Redirect``, so that the web server in front sends the bytes."""

FILES_REST_XSENDFILE_MAPPING: dict[str, str] = {}
"""What the web server in front calls the files: the URI of a location, or of a folder, to its internal URI.

``{"/data/files": "/internal/files"}`` has it asked for the file ``/data/files/2a/data`` as ``/internal/files/2a/data``.
The longest URI that fits counts; files that none fits are sent without the web server's help. Where nothing is mapped,
it is asked for every file as ``/user_files/`` and its path from the root on: for ``/user_files/data/files/2a/data``.
"""


def FILES_REST_XSENDFILE_RESPONSE_FUNC(obj: ObjectVersion) -> Response:  # noqa: N802 (a setting)
    """Make the response that redirects the web server in front to the file of an object.

    :param obj: The object version to send.
    :returns: The response, without a body.
    """
    from .helpers import create_file_streaming_redirect_response

    return create_file_streaming_redirect_response(obj)
