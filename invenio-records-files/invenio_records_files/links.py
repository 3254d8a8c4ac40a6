"""Links to a record's files, for ``links_factory_imp`` in the endpoints of Invenio-Records-REST."""

from __future__ import annotations

from typing import Any

from flask import current_app, url_for
from sqlalchemy.exc import NoResultFound

from .api import Record


def default_bucket_link_factory(pid: Any) -> str | None:
    """Return the URL of a record's bucket in Files-REST.

    :param pid: Persistent identifier of the record; may be ``None``.
    :returns: The URL; ``None`` if there is no record, or the record has no bucket.
    """
    try:
        bucket_id = Record.get_record(pid.get_assigned_object()).bucket_id if pid is not None else ""
    except NoResultFound:
        return None
    return url_for("invenio_files_rest.bucket_api", bucket_id=bucket_id, _external=True) if bucket_id else None


def default_record_files_links_factory(pid: Any, record: Any = None, **kwargs: Any) -> dict[str, str]:
    """Return the links of a record: to itself, and to its files.

    :param pid: Persistent identifier of the record.
    :param record: The record, if available. If it has no bucket, there is no link to files.
    :param kwargs: Further arguments of such factories; not used.
    """
    endpoint = current_app.extensions["invenio-records-rest"].default_endpoint_prefixes[pid.pid_type]
    links = {"self": f"invenio_records_rest.{endpoint}_item"}
    files = f"invenio_records_files.{endpoint}_bucket_api"
    if files in current_app.view_functions and getattr(record, "bucket_id", True):
        links["files"] = files
    return {name: url_for(view, pid_value=pid.pid_value, _external=True) for name, view in links.items()}
