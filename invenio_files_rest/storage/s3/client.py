"""The clients of object stores, one for each location and process."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config

from .locations import S3Location

CONNECTIONS = 64
"""Number of connections to a store that are kept open."""


@lru_cache
def client_of(location: S3Location) -> Any:
    """Return the client of a location, which threads may share.

    :param location: The location.
    """
    config = Config(
        signature_version="s3v4",
        connect_timeout=min(location.timeout, 10.0),
        read_timeout=location.timeout,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": location.attempts, "mode": "standard"},
        # Not every store knows the newer checksums, or bodies that are cut in pieces for them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # A body is read once: hashing it for the signature first would need it twice.
        s3={"addressing_style": location.addressing_style, "payload_signing_enabled": False},
    )
    # A session of its own, because the default one is not for threads.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=location.endpoint_url,
        region_name=location.region_name,
        aws_access_key_id=location.access_key_id,
        aws_secret_access_key=location.secret_access_key,
        aws_session_token=location.session_token,
        config=config,
    )


# Two processes must not use one connection.
os.register_at_fork(after_in_child=client_of.cache_clear)
