"""The pages, and what their forms do."""

from __future__ import annotations

import uuid
from pathlib import Path

from flask import Response, abort, flash, redirect, render_template, send_file, url_for
from invenio_i18n import gettext
from werkzeug.wrappers import Response as BaseResponse

from ..errors import BucketLockedError
from ..http.arguments import NOT_FOUND, PAGE, BucketPlace, Identifier, as_uuid, use_kwargs
from ..http.upload_body import read_chosen_file
from ..keys import paths_of
from ..models import Bucket
from ..models.listing import Listing
from ..permissions import grant_to_creator
from ..permissions.usable import Place
from ..proxies import current_permission_factory
from ..services.objects import store_object
from ..services.transactions import in_transaction
from ..views.decorators import check_permission
from ..views.object import ObjectResource
from .answers import script_nonce
from .messages import messages
from .usable import Usable, access_to, may_create, usable_buckets

_ICON, _DAY = Path(__file__).parent / "static" / "icon.svg", 86400

KEYS = 100
"""Number of files and folders on a page."""


@use_kwargs({"before": BucketPlace(load_default=None)}, location="query")
def start(before: Place | None = None) -> str:
    """Show what this is, the buckets that one may use, and a form to create one.

    :param before: The place that the list goes on after.
    """
    buckets, following = usable_buckets(before)
    return render_template(
        "invenio_files_rest/pages/start.html",
        buckets=buckets,
        following=following,
        first=before is None,
        may_create=may_create(),
    )


def icon() -> Response:
    """Send the icon to browsers that look for it where it always was: for what is no page of ours."""
    return send_file(_ICON, mimetype="image/svg+xml", max_age=_DAY)


def create_bucket() -> BaseResponse:
    """Create a bucket in the default location, as ``POST /files`` of the REST API does, and show it."""
    check_permission(current_permission_factory(None, "location-update"), hidden=False)
    bucket = in_transaction(lambda: grant_to_creator(Bucket.create()))
    access = access_to(bucket)
    if not (access.readable or access.writable):
        flash(gettext("The bucket %(id)s was created. Nobody has allowed you to use it yet.", id=bucket.id))
        return redirect(url_for(".start"), 303)
    return redirect(url_for(".bucket", bucket_id=bucket.id), 303)


@use_kwargs({name: PAGE[name] for name in ("prefix", "start_after")}, location="query")
def show_bucket(bucket_id: str, prefix: str = "", start_after: str = "") -> str:
    """Show the files and folders of a bucket, a page at a time, and a form to upload one.

    :param bucket_id: Identifier of the bucket.
    :param prefix: The folder: what keys begin with, up to a slash.
    :param start_after: The key or folder after which the page begins.
    """
    access = _usable(bucket_id)
    bucket = access.bucket
    listing = Listing(bucket.id, prefix=prefix, delimiter="/", start_after=start_after, max_keys=KEYS)
    objects = list(listing) if access.readable else []
    return render_template(
        "invenio_files_rest/pages/bucket.html",
        access=access,
        bucket=bucket,
        prefix=prefix,
        folders=listing.common_prefixes,
        files=[(obj, _file_url(bucket.id, obj.key, obj.version_id)) for obj in objects],
        following=listing.next_start_after,
        first=not start_after,
        largest=bucket.size_limit,
        nonce=script_nonce(),
        messages=messages(),
    )


@use_kwargs({"prefix": PAGE["prefix"]}, location="query")
def upload(bucket_id: str, prefix: str = "") -> BaseResponse:
    """Store the file of the form, as ``PUT`` of the REST API does, and show the folder that it is in.

    :param bucket_id: Identifier of the bucket.
    :param prefix: The folder that the form was in.
    """
    bucket = Bucket.get(as_uuid(bucket_id))
    if bucket is None:
        abort(404, description=NOT_FOUND)
    check_permission(current_permission_factory(bucket, "bucket-update"))
    if bucket.locked:
        raise BucketLockedError()
    file = read_chosen_file()
    key = file.key or prefix + file.name
    store_object(bucket, key, file.stream)
    flash(gettext("%(key)s is stored.", key=key))
    return redirect(url_for(".bucket", bucket_id=bucket_id, prefix=key[: key.rfind("/") + 1] or None), 303)


@use_kwargs({"version_id": Identifier(data_key="versionId", load_default=None)}, location="query")
def download(bucket_id: str, key: str, version_id: uuid.UUID | None = None) -> Response:
    """Send a file, for the browser to save.

    :param bucket_id: Identifier of the bucket.
    :param key: Key of the object.
    :param version_id: Identifier of a version; the head where none is given.
    """
    obj = ObjectResource.get_object(as_uuid(bucket_id), key, version_id)
    return ObjectResource.send_object(obj.bucket, obj, as_attachment=True)


def _usable(bucket_id: str) -> Usable:
    """Return a bucket, hidden from whoever may not use it."""
    bucket = Bucket.get(as_uuid(bucket_id))
    access = bucket and access_to(bucket)
    if access is None or not (access.readable or access.writable):
        abort(404, description=NOT_FOUND)
    return access


def _file_url(bucket_id: uuid.UUID, key: str, version_id: uuid.UUID) -> str:
    """Return the URL of a file, which a browser leaves as it is; see :mod:`invenio_files_rest.keys`."""
    path, with_identifier = paths_of(key)
    url = url_for(".bucket", bucket_id=bucket_id)
    return f"{url}/{path}" if path else f"{url}/{with_identifier}?versionId={version_id}"
