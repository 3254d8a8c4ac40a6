"""What an object store has to let pages of other sites do, so that they can upload to it and download from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..models import FileInstance, Location
from ..storage.capabilities import Signer, capability_of
from .presence import storage_for

SECONDS = 3600
"""Time for which a browser may remember the answer of the store."""

_NOT_IN_HOSTS = frozenset("/@?# ")
"""Characters that no host has."""


def cors_rules(location: Location, origins: Sequence[str]) -> dict[str, Any]:
    """Return the rules for the bucket of an object store, as the operation ``PutBucketCors`` of S3 takes them.

    :param location: The location.
    :param origins: Origins of the pages, e.g. ``https://app.example.org``.
    :raises ValueError: If the location is in no object store, or an origin is none.
    """
    if capability_of(storage_for(FileInstance.new(), location.uri), Signer) is None:
        raise ValueError(f"Location {location.name} is in no object store that clients come to with links.")
    for origin in origins:
        scheme, separator, host = origin.partition("://")
        # The same rule lets pages write.
        if scheme not in ("http", "https") or not separator or host in ("", "*") or not _NOT_IN_HOSTS.isdisjoint(host):
            raise ValueError(f"{origin} is no origin: https://app.example.org is one.")
    rule = {
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["Content-Type", "Range"],
        "ExposeHeaders": ["Content-Disposition", "Content-Range", "ETag"],
        "MaxAgeSeconds": SECONDS,
    }
    return {"CORSRules": [rule]}
