"""The database: locations, buckets, objects, files and uploads.

- A :class:`Location` is where files are kept. A :class:`LocationMark` says that its folder has a mark.
- A :class:`Bucket` belongs to a location and holds objects. It has tags.
- An object is a key in a bucket. It has no table of its own: it consists of the versions of its key.
- An :class:`ObjectVersion` refers to a file, or is a delete marker. It has tags.
- A :class:`FileInstance` is a file in storage, to which many versions may refer.
- A :class:`MultipartObject` is an upload in parts of one size, and a :class:`Part` is one of them.
- An :class:`Upload` is an upload whose parts may have any size, and an :class:`UploadExtent` is a run of its bytes.
- A :class:`Share` is a link that gives somebody else a part of a bucket.

The methods work inside the caller's transaction and never commit.
"""

from .bucket import Bucket, SyncResult, as_bucket, as_bucket_id
from .bucket_tag import BucketTag
from .file_crc import FileCRC
from .file_instance import FileInstance
from .location import Location, LocationMark
from .multipart import MultipartObject
from .object_tag import ObjectVersionTag
from .object_version import ObjectVersion, as_object_version, as_object_version_id
from .part import Part
from .share import Share
from .upload import Upload
from .upload_extent import UploadExtent

__all__ = (
    "Bucket",
    "BucketTag",
    "FileCRC",
    "FileInstance",
    "Location",
    "LocationMark",
    "MultipartObject",
    "ObjectVersion",
    "ObjectVersionTag",
    "Part",
    "Share",
    "SyncResult",
    "Upload",
    "UploadExtent",
    "as_bucket",
    "as_bucket_id",
    "as_object_version",
    "as_object_version_id",
)
