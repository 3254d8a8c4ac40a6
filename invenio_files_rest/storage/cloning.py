"""Sharing blocks between files, on file systems that can: Btrfs, XFS, bcachefs, OCFS2, some network file systems."""

from __future__ import annotations

import fcntl
import struct

_FICLONERANGE = 0x4020940D
"""Number of the request, from ``linux/fs.h``."""


def clone(source: int, start: int, size: int, target: int, at: int) -> bool:
    """Let a file share a region of another file (``FICLONERANGE``, ioctl_ficlonerange(2)).

    :param source: File descriptor of the other file.
    :param start: Where the region begins in it, in bytes.
    :param size: Its length in bytes.
    :param target: File descriptor of the file.
    :param at: Where it is to begin there.
    :returns: Whether it does now; ``False`` if the file system cannot, or the region is not one of whole blocks.
    """
    if not size:
        return False
    try:
        fcntl.ioctl(target, _FICLONERANGE, struct.pack("=qQQQ", source, start, size, at))
    except OSError:
        return False
    return True
