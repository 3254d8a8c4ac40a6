"""``/files``: creating buckets."""

from __future__ import annotations

from flask import Response

from ..http.arguments import refuse_stray_arguments
from ..models import Bucket
from ..services.transactions import in_transaction
from .base import FilesView
from .decorators import ensure_acceptable, need_location_permission


class LocationResource(FilesView):
    """The default location."""

    @need_location_permission("location-update", hidden=False)
    @ensure_acceptable
    def post(self) -> Response:
        """Create a bucket in the default location.

        :returns: The bucket.
        """
        refuse_stray_arguments()
        bucket = in_transaction(Bucket.create)
        return self.make_response(data=bucket, context={"class": Bucket})
