"""Files that share blocks, where the file system has that: Btrfs, XFS, bcachefs, OCFS2, some network file systems."""

from __future__ import annotations

import fcntl
import struct

_FICLONERANGE = 0x4020940D
"""The number of the request, of ``linux/fs.h``."""


def clone(source: int, start: int, size: int, target: int, at: int) -> bool:
    """Have a file share a region of another (``FICLONERANGE``, ioctl_ficlonerange(2)).

    :param source: File descriptor of the other file.
    :param start: Where the region begins in it, in bytes.
    :param size: Its length in bytes.
    :param target: File descriptor of the file.
    :param at: Where it shall begin there.
    :returns: Whether it does now; not where the file system cannot, or a border is not one of a block.
    """
    if not size:
        return False
    try:
        fcntl.ioctl(target, _FICLONERANGE, struct.pack("=qQQQ", source, start, size, at))
    except OSError:
        return False
    return True
