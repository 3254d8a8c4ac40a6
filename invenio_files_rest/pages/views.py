"""The start page, and what its form does."""

from __future__ import annotations

from pathlib import Path

from flask import Response, flash, redirect, render_template, send_file, url_for
from invenio_i18n import gettext
from werkzeug.wrappers import Response as BaseResponse

from ..http.arguments import BucketPlace, use_kwargs
from ..models import Bucket
from ..permissions import grant_to_creator
from ..permissions.usable import Place
from ..proxies import current_permission_factory
from ..services.transactions import in_transaction
from ..views.decorators import check_permission
from .usable import access_to, may_create, usable_buckets

_ICON, _DAY = Path(__file__).parent / "static" / "icon.svg", 86400


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
    response = send_file(_ICON, mimetype="image/svg+xml", max_age=_DAY)
    # The application may set the cookie of a session with it.
    response.cache_control.public, response.cache_control.private = False, True
    return response


def create_bucket() -> BaseResponse:
    """Create a bucket in the default location, as ``POST /files`` of the REST API does, and show it."""
    check_permission(current_permission_factory(None, "location-update"), hidden=False)
    bucket = in_transaction(lambda: grant_to_creator(Bucket.create()))
    access = access_to(bucket)
    if not (access.readable or access.writable):
        flash(gettext("The bucket %(id)s was created. Nobody has allowed you to use it yet.", id=bucket.id))
        return redirect(url_for(".start"), 303)
    return redirect(url_for(".bucket", bucket_id=bucket.id), 303)
