"""``/files/<bucket>``: whether a bucket exists, its objects and its multipart uploads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from flask import Response
from marshmallow import missing

from ..http.arguments import PAGE, flag, use_kwargs
from ..models import Bucket, MultipartObject, ObjectVersion
from ..models.listing import Listing
from ..permissions import expect_actions
from ..proxies import current_permission_factory
from ..services.batches import in_batches
from .archive import ARCHIVE, KEYS, send_archive
from .base import FilesView
from .bucket_changes import BucketChangesMixin
from .decorators import check_permission, need_bucket_permission, need_permissions, pass_bucket
from .extraction import ExtractionMixin
from .links import LinksMixin, or_of_links
from .object import ObjectResource
from .resumable import or_of_an_upload
from .tags import or_of_tags


class BucketResource(LinksMixin, ExtractionMixin, BucketChangesMixin, FilesView):
    """A bucket."""

    readable_conditions = ObjectResource.readable_conditions

    @or_of_an_upload
    @or_of_links
    @or_of_tags("show_tags")
    @use_kwargs({"versions": flag("versions"), "uploads": flag("uploads"), **ARCHIVE, **KEYS, **PAGE}, location="query")
    @pass_bucket
    def get(
        self,
        bucket: Any = None,
        versions: Any = missing,
        uploads: Any = missing,
        archive: str | None = None,
        at: str | None = None,
        keys: Sequence[str] = (),
        **page: Any,
    ) -> Response:
        """List the objects of a bucket, or its multipart uploads; or send all objects in one file.

        :param bucket: The bucket.
        :param versions: Set to list all versions.
        :param uploads: Set to list the multipart uploads.
        :param archive: Format of the file with all objects.
        :param at: Stamp of the state of the bucket that is sent in it.
        :param keys: Keys of the objects in it.
        :param page: The page of objects to list.
        """
        if archive is not None:
            return self.archive(bucket, archive, page.get("prefix", ""), at, keys)
        if uploads is not missing:
            return self.multipart_listuploads(bucket)
        if versions is not missing:
            expect_actions(bucket, "bucket-read-versions")
        return self.listobjects(bucket, versions, **page)

    @or_of_an_upload
    @use_kwargs({**ARCHIVE, **KEYS, "prefix": PAGE["prefix"]}, location="query")
    @pass_bucket
    @need_bucket_permission("bucket-read")
    def head(
        self,
        bucket: Any = None,
        archive: str | None = None,
        at: str | None = None,
        prefix: str = "",
        keys: Sequence[str] = (),
        **kwargs: Any,
    ) -> Response:
        """Return an empty response if the bucket exists, or the headers of an archive.

        :param bucket: The bucket.
        :param archive: Format of the archive.
        :param at: Stamp of the state of the bucket.
        :param prefix: Prefix of the keys in the archive.
        :param keys: Keys of the objects in the archive.
        """
        return self.make_response(None) if archive is None else send_archive(bucket, archive, prefix, at, keys=keys)

    @need_permissions(lambda self, bucket, *args: bucket, "bucket-read", along=lambda: ["object-read"])
    def archive(self, bucket: Bucket, name: str, prefix: str, at: str | None, keys: Sequence[str]) -> Response:
        """Send the objects of a bucket in one file.

        :param bucket: The bucket.
        :param name: Format of the file.
        :param prefix: Prefix of the keys.
        :param at: Stamp of the state of the bucket; without it, the client is redirected to the current one.
        :param keys: Keys of the objects, instead of a prefix.
        """
        return send_archive(bucket, name, prefix, at, keys=keys)

    @need_permissions(lambda self, bucket: bucket, "bucket-listmultiparts")
    def multipart_listuploads(self, bucket: Bucket) -> Response:
        """List the multipart uploads of a bucket.

        :param bucket: The bucket.
        """
        query = MultipartObject.query_by_bucket(bucket)
        uploads = chain.from_iterable(in_batches(query, MultipartObject.created, MultipartObject.upload_id))
        return self.make_response(data=uploads, context={"class": MultipartObject, "bucket": bucket, "many": True})

    @need_permissions(lambda self, bucket, versions, **page: bucket, "bucket-read")
    def listobjects(self, bucket: Bucket, versions: Any, **page: Any) -> Response:
        """List the objects of a bucket.

        :param bucket: The bucket.
        :param versions: Set to list all versions.
        :param page: The page of objects to list: ``prefix``, ``delimiter``, ``start_after``, ``max_keys``.
        """
        all_versions = versions is not missing
        if all_versions:
            check_permission(current_permission_factory(bucket, "bucket-read-versions"), hidden=False)
        return self.make_response(
            data=Listing(bucket.id, versions=all_versions, **page),
            context={"class": ObjectVersion, "bucket": bucket, "many": True},
        )
