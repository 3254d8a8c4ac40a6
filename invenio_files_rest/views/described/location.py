"""Uses of ``/files``."""

from __future__ import annotations

from ...http.openapi.schemas import ref
from ..location import LocationResource
from .answers import shows, use

_LIST = use(LocationResource.get, shows("A page of buckets.", ref("BucketPage"), "Link"), 401)

LOCATION = {
    "GET": (_LIST,),
    "HEAD": (_LIST,),
    "POST": (use(LocationResource.post, shows("The bucket.", ref("Bucket")), 401),),
}
"""Uses of each method."""
