"""The clients of object stores, one for each store and process."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from operator import attrgetter
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from .locations import S3Location

CONNECTIONS = 64
"""Number of connections to a store that are kept open."""


_session = boto3.session.Session()
_session_lock = threading.Lock()

_connection_of = attrgetter(
    *("endpoint_url", "region_name", "addressing_style"),
    *("access_key_id", "secret_access_key", "session_token", "attempts", "timeout"),
)


def client_of(location: S3Location) -> Any:
    """Return the client of a location, which threads may share. Locations in one store share it, too.

    :param location: The location.
    :raises botocore.exceptions.NoCredentialsError: If the settings have no credentials, and boto3 finds none.
    """
    return _client(*_connection_of(location))


@lru_cache
def _client(
    endpoint_url: str | None,
    region_name: str | None,
    addressing_style: str,
    access_key_id: str | None,
    secret_access_key: str | None,
    session_token: str | None,
    attempts: int,
    timeout: float,
) -> Any:
    config = Config(
        signature_version="s3v4",
        connect_timeout=min(timeout, 10.0),
        read_timeout=timeout,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        # Not every store knows the newer checksums, or bodies that are cut in pieces for them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # A body is read once: hashing it for the signature first would need it twice.
        s3={"addressing_style": addressing_style, "payload_signing_enabled": False},
    )
    # A client is for threads, a session is not.
    with _session_lock:
        if access_key_id is None and _session.get_credentials() is None:
            # A client that begins without them never gets any, and is kept. Those of a machine may come later.
            raise NoCredentialsError
        return _session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region_name,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            aws_session_token=session_token,
            config=config,
        )


def _begin_anew() -> None:
    # Two processes must not use one connection, and the lock may have been taken.
    global _session_lock
    _client.cache_clear()
    _session_lock = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
