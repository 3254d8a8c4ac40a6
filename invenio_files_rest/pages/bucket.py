"""The page of a bucket: a folder of it, what was deleted there, and what its forms do."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

from flask import Response, abort, current_app, flash, redirect, render_template, url_for
from flask_login import current_user
from invenio_i18n import gettext
from webargs import fields
from werkzeug.wrappers import Response as BaseResponse

from ..errors import BucketLockedError
from ..http.arguments import NOT_FOUND, PAGE, WholeNumber, as_uuid, between, flag, of_a_key, one_of, use_kwargs
from ..http.upload_body import read_chosen_file
from ..models import Bucket
from ..models.folder import MOST_KEYS, ORDERS, Folder
from ..models.listing import Listing
from ..proxies import current_permission_factory
from ..services.objects import store_object
from ..views.archive import KEYS as CHOSEN
from ..views.archive import lay_out_latest, send_layout
from ..views.decorators import check_permission
from .answers import script_nonce
from .messages import messages
from .rows import Row, api_url, file_row, folder_row
from .usable import Usable, access_to

KEYS = 100
"""Number of files and folders on a page."""

FOLDER = {
    "prefix": PAGE["prefix"],
    "start_after": PAGE["start_after"],
    "sort": fields.String(validate=one_of(*ORDERS, *(f"-{order}" for order in ORDERS))),
    "page": WholeNumber(validate=between(1, MOST_KEYS)),
    "deleted": flag("deleted"),
}
"""Arguments of the page of a folder."""


def usable_bucket(bucket_id: str) -> Usable:
    """Return a bucket, hidden from whoever may not use it.

    :param bucket_id: Its identifier.
    :raises werkzeug.exceptions.NotFound: If there is none, or it is hidden.
    """
    bucket = Bucket.get(as_uuid(bucket_id))
    access = bucket and access_to(bucket)
    if access is None or not (access.readable or access.writable):
        abort(404, description=NOT_FOUND)
    return access


def render_bucket_page(template: str, access: Usable, prefix: str, **values: Any) -> str:
    """Make a page with what all pages of a bucket have.

    :param template: Name of the template.
    :param access: The bucket, and what one may do with it.
    :param prefix: The folder.
    :param values: What else the template shows.
    """
    return render_template(
        f"invenio_files_rest/pages/{template}",
        access=access,
        bucket=access.bucket,
        prefix=prefix,
        api=api_url(access.bucket.id),
        links=access.writable
        and bool(current_user.is_authenticated)
        and current_app.config["FILES_REST_SHARES_ENABLED"],
        nonce=script_nonce(),
        messages=messages(),
        **values,
    )


@use_kwargs(FOLDER, location="query")
def show_bucket(
    bucket_id: str, prefix: str = "", start_after: str = "", sort: str = "name", page: int = 1, deleted: Any = None
) -> str:
    """Show the files and folders of a bucket, a page at a time, and a form to upload one.

    :param bucket_id: Identifier of the bucket.
    :param prefix: The folder: what keys begin with, up to a slash.
    :param start_after: The key or folder after which the page begins, in the order of names.
    :param sort: What they are ordered by, with a minus from the last to the first.
    :param page: Number of the page, in other orders.
    :param deleted: Set to show what was deleted.
    """
    access = usable_bucket(bucket_id)
    if deleted is not None:
        return _show_deleted(access, prefix, start_after)
    rows, following, place = _rows(access, prefix, start_after, sort, page) if access.readable else ([], None, "name")
    return render_bucket_page(
        "bucket.html",
        access,
        prefix,
        rows=rows,
        sort=place,
        refused_sort=place != sort,
        most_keys=MOST_KEYS,
        following=following,
        first=not start_after and page == 1,
        largest=access.bucket.size_limit,
    )


def _rows(
    access: Usable, prefix: str, start_after: str, sort: str, page: int
) -> tuple[list[Row], dict[str, Any] | None, str]:
    """Return the rows of a page, the arguments of the next one, and the order that they are in."""
    bucket = access.bucket
    if sort != "name":
        folder = Folder(bucket.id, prefix)
        entries = folder.ordered(sort.lstrip("-"), sort.startswith("-"), (page - 1) * KEYS, KEYS + 1)
        if entries is not None:
            heads = folder.heads([entry.key for entry in entries if not entry.is_folder])
            rows = [
                folder_row(entry.key, prefix, entry.size, entry.created)
                if entry.is_folder
                else file_row(heads[entry.key], prefix)
                for entry in entries[:KEYS]
                # What has been deleted since is not there any more.
                if entry.is_folder or entry.key in heads
            ]
            return rows, {"sort": sort, "page": page + 1} if len(entries) > KEYS else None, sort
    listing = Listing(bucket.id, prefix=prefix, delimiter="/", start_after=start_after, max_keys=KEYS)
    files = [file_row(obj, prefix) for obj in listing]
    rows = [*(folder_row(key, prefix) for key in listing.common_prefixes), *files]
    following = listing.next_start_after
    return rows, None if following is None else {"start-after": following}, "name"


def _show_deleted(access: Usable, prefix: str, start_after: str) -> str:
    check_permission(current_permission_factory(access.bucket, "bucket-read"))
    check_permission(current_permission_factory(access.bucket, "bucket-read-versions"), hidden=False)
    found = Folder(access.bucket.id, prefix).deleted(start_after, KEYS + 1)
    return render_bucket_page(
        "deleted.html",
        access,
        prefix,
        objects=[
            (one.key[len(prefix) :], one.deleted, one.last and file_row(one.last, prefix)) for one in found[:KEYS]
        ],
        following=found[KEYS - 1].key if len(found) > KEYS else None,
        first=not start_after,
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
    # Browsers on macOS have letters and their accents apart; scripts of the page do the same.
    key = file.key or prefix + normalize("NFC", file.name)
    store_object(bucket, key, file.stream)
    flash(gettext("%(key)s is stored.", key=key))
    return redirect(url_for(".bucket", bucket_id=bucket_id, prefix=key[: key.rfind("/") + 1] or None), 303)


@use_kwargs({"prefix": fields.String(validate=of_a_key, load_default="")}, location="form")
@use_kwargs(CHOSEN, location="form")
def archive(bucket_id: str, prefix: str = "", keys: tuple[str, ...] = ()) -> Response:
    """Send what has been chosen on the page as a ZIP, or all of the folder.

    :param bucket_id: Identifier of the bucket.
    :param prefix: The folder.
    :param keys: The keys; those of folders end in a slash.
    """
    access = usable_bucket(bucket_id)
    check_permission(current_permission_factory(access.bucket, "bucket-read"))
    layout = lay_out_latest(access.bucket, "zip", "" if keys else prefix, tuple(dict.fromkeys(keys)))
    name = (keys[0] if len(keys) == 1 else prefix).rstrip("/").rpartition("/")[2]
    return send_layout(layout, "zip", name or str(access.bucket.id))
