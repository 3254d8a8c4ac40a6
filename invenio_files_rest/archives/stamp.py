"""Stamps: what names a state of a bucket in the URL of an archive.

A stamp has the time of the latest version, and a digest of the versions. With the time the versions are found again;
the digest makes sure that they are the same ones, also where clocks of hosts differ or versions have been removed.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ..messages import lazy_gettext as _

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_STAMP = re.compile("([0-9]{1,18})-([0-9a-f]{32})")


def make_stamp(moment: datetime, digest: str) -> str:
    """Return a stamp.

    :param moment: Time of the latest version.
    :param digest: 32 hexadecimal digits.
    """
    return f"{(moment - EPOCH) // timedelta.resolution}-{digest}"


def parse_stamp(stamp: str) -> tuple[datetime, str]:
    """Return time and digest of a stamp.

    :param stamp: The stamp.
    :raises ValueError: If it is none.
    """
    match = _STAMP.fullmatch(stamp)
    if match is None:
        raise ValueError(_("Not a stamp of an archive."))
    try:
        return EPOCH + int(match[1]) * timedelta.resolution, match[2]
    except OverflowError as error:
        raise ValueError(_("Not a stamp of an archive.")) from error
