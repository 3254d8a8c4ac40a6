"""Keeping the CRC-32 of files that have been read anyway: in archives, and in fixity checks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import current_app
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ..models import FileCRC
from .transactions import in_transaction


def keep_crcs(crcs: Mapping[uuid.UUID, int]) -> None:
    """Keep the checksums of files that have none yet, and commit.

    :param crcs: The checksums, by the identifiers of the files.
    """
    if crcs:
        _try(partial(FileCRC.add, crcs), len(crcs))


def keep_verified_crc(file_id: uuid.UUID, crc: int) -> None:
    """Keep the checksum of a file whose bytes are those that were stored, and commit.

    It takes the place of one that was made while the bytes were others.

    :param file_id: Identifier of the file.
    :param crc: The checksum.
    """
    _try(partial(FileCRC.set, file_id, crc), 1)


def _try(work: Callable[[], Any], count: int) -> None:
    try:
        in_transaction(work)
    except IntegrityError:
        # Somebody else has added one, or deleted a file. They can be computed again.
        current_app.logger.info("The CRC-32 of %d files was not kept: others were writing.", count)
    except SQLAlchemyError:
        # What they were made for goes on without, e.g. a download from a database that is only read.
        current_app.logger.warning("The CRC-32 of %d files could not be kept.", count, exc_info=True)
