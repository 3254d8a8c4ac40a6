"""``/files``: creating buckets, and listing those that one may read."""

from __future__ import annotations

from flask import Response, abort
from flask_login import current_user

from ..http.arguments import BucketPlace, WholeNumber, between, refuse_stray_arguments, use_kwargs
from ..http.links import location_url, next_page_url
from ..http.schemas import BucketPage
from ..messages import lazy_gettext as _
from ..models import Bucket
from ..permissions import grant_to_creator
from ..permissions.usable import Place, usable_buckets
from ..services.transactions import in_transaction
from .base import FilesView
from .decorators import ensure_acceptable, need_location_permission

_PAGE = {
    "start_after": BucketPlace(data_key="start-after", load_default=None),
    "max_buckets": WholeNumber(data_key="max-buckets", validate=between(1, 1000), load_default=100),
}

_MOST_ASKED = 200
"""Number of buckets of which a page asks whether one may read them, at most, unless it has room for more."""


class LocationResource(FilesView):
    """The default location."""

    @use_kwargs(_PAGE, location="query")
    def get(self, start_after: Place | None = None, max_buckets: int = 100) -> Response:
        """List the buckets that one may read, newest first, in pages.

        :param start_after: The place that the page goes on after.
        :param max_buckets: Largest number of buckets on the page.
        :returns: The page.
        """
        most = max(max_buckets, _MOST_ASKED)
        usable, following = usable_buckets(start_after, max_buckets, most, ["bucket-read"])
        if not (usable or following or start_after or current_user.is_authenticated):
            abort(401, description=_("Authentication is required for this."))
        url = next_page_url(location_url(), start_after=str(following)) if following else None
        page = BucketPage([found.bucket for found in usable], url)
        return self.make_response(data=page, context={"class": BucketPage})

    @need_location_permission("location-update", hidden=False)
    @ensure_acceptable
    def post(self) -> Response:
        """Create a bucket in the default location.

        :returns: The bucket.
        """
        refuse_stray_arguments()
        bucket = in_transaction(lambda: grant_to_creator(Bucket.create()))
        return self.make_response(data=bucket, context={"class": Bucket})
