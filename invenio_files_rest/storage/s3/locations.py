"""The settings of a location in an object store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from ...errors import StorageError
from ...paths import split_scheme

MIB = 1024**2

SMALLEST_PART = 5 * MIB
"""Smallest size of a part of an S3 upload, in bytes; its last part may be smaller."""

LARGEST_BUFFER = 64 * MIB
"""Largest size in bytes of a part that is buffered."""

LONGEST_LIFETIME = timedelta(days=7)
"""Longest time for which a signed link may be valid."""


@dataclass(frozen=True)
class S3Location:
    """A location in an object store, as an entry of ``FILES_REST_S3_LOCATIONS`` describes it.

    What is ``None`` boto3 takes from its usual places: the environment, its configuration files, or the machine.
    """

    uri: str
    """Its URI, ``s3://bucket`` or ``s3://bucket/prefix``."""

    endpoint_url: str | None = None
    """URL of the store."""

    region_name: str | None = None
    """Region of the store."""

    addressing_style: str = "path"
    """Where the bucket stands in a URL: in its ``path``, or before the name of the host (``virtual``)."""

    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    part_size: int = 8 * MIB
    """Size of a part in bytes; larger ones are used if 10,000 of this size would not suffice."""

    parallel_parts: int = 3
    """Number of parts of one upload that are sent to the store at the same time."""

    compare_tags: bool | None = None
    """Whether the entity tag of what was sent, its MD5, is compared with the bytes; ``None`` where there is no TLS."""

    attempts: int = 4
    """Number of times that a request to the store is tried."""

    timeout: float = 30.0
    """Seconds to wait for the store to answer."""

    @property
    def compares_tags(self) -> bool:
        """Whether entity tags of what was sent are compared. What TLS carries arrives as it is."""
        return (self.endpoint_url or "").startswith("http:") if self.compare_tags is None else self.compare_tags

    def __post_init__(self) -> None:
        """Check the values.

        :raises ValueError: If one of them makes no sense.
        """
        if not SMALLEST_PART <= self.part_size <= LARGEST_BUFFER:
            raise ValueError(f"The part_size of {self.uri} is not between {SMALLEST_PART} and {LARGEST_BUFFER} bytes.")
        if min(self.parallel_parts, self.attempts) < 1 or self.timeout <= 0:
            raise ValueError(f"A number in the settings of {self.uri} is too small.")
        if self.endpoint_url is not None:
            endpoint = urlsplit(self.endpoint_url)
            # With a password in it, every message that names the store would tell it.
            if endpoint.scheme not in ("http", "https") or not endpoint.hostname or "@" in endpoint.netloc:
                raise ValueError(f"The endpoint_url of {self.uri} is not http(s)://host; keys have names of their own.")
        if not _is_s3(self.uri):
            raise ValueError(f"The URI of a location in FILES_REST_S3_LOCATIONS is not s3://bucket/prefix: {self.uri}")


def _is_s3(uri: str) -> bool:
    try:
        return split_scheme(uri)[0] == "s3"
    except StorageError:
        return False


def place_of(uri: str) -> tuple[str, str]:
    """Return the bucket and the key that a URI means.

    :param uri: URI of a file.
    :raises StorageError: If the URI is not allowed.
    """
    segments = [segment for segment in split_scheme(uri)[1].split("/") if segment not in ("", ".")]
    return segments[0], "/".join(segments[1:])


def location_of(uri: str, settings: Mapping[str, Mapping[str, Any]]) -> S3Location | None:
    """Find the location of a file among those that the settings name.

    :param uri: URI of the file.
    :param settings: The value of ``FILES_REST_S3_LOCATIONS``.
    :returns: The innermost location; ``None`` if there is none, e.g. because the URI is of another kind.
    :raises ValueError: If the settings of the location are wrong.
    """
    if not settings or split_scheme(uri)[0] != "s3":
        return None
    path = "/".join(place_of(uri))
    found = [base for base in settings if path.startswith("/".join(filter(None, place_of(base))) + "/")]
    if not found:
        return None
    return _described(max(found, key=lambda base: len(place_of(base)[1])), settings)


def check_lifetime(name: str, valid: timedelta | None) -> None:
    """Check for how long signed links are valid.

    :param name: Name of the setting.
    :param valid: Its value.
    :raises ValueError: If it is not one that stores take.
    """
    if valid is not None and not (isinstance(valid, timedelta) and timedelta(seconds=1) <= valid <= LONGEST_LIFETIME):
        raise ValueError(f"{name} is neither None nor a timedelta of one second to seven days.")


def check_settings(settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Check how locations are described.

    :param settings: The value of ``FILES_REST_S3_LOCATIONS``.
    :raises ValueError: If one is described wrongly.
    """
    for base in settings:
        _described(base, settings)


def _described(base: str, settings: Mapping[str, Mapping[str, Any]]) -> S3Location:
    try:
        return S3Location(base, **settings[base])
    except TypeError:
        # Without the error's own text, in which a misplaced value might stand.
        known = ", ".join(sorted(set(S3Location.__dataclass_fields__) - {"uri"}))
        raise ValueError(f"The settings of {base} in FILES_REST_S3_LOCATIONS may have these names: {known}.") from None
