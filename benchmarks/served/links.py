"""The application whose clients send bytes to the object store, and get them from it, by signed links."""

from __future__ import annotations

from datetime import timedelta

from application import application

application.config.update(
    FILES_REST_S3_DIRECT_UPLOAD=timedelta(minutes=15), FILES_REST_S3_REDIRECT=timedelta(minutes=15)
)
