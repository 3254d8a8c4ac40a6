"""Settings, with their defaults."""

from __future__ import annotations

RECORDS_FILES_REST_ENDPOINTS: dict[str, dict[str, str]] = {}
"""URLs of the files of records: for each setting that defines endpoints, the path of each endpoint's files.

The settings are Invenio-Records-REST's ``RECORDS_REST_ENDPOINTS`` and others of the same form. The path is added to the
endpoint's ``item_route``; ``pid_type`` is used too, and ``record_class`` unless the route names the class. With

.. code-block:: python

    RECORDS_FILES_REST_ENDPOINTS = {
        "RECORDS_REST_ENDPOINTS": {
            "recid": "/files",
            "docid": "/doc-files",
        },
        "DEPOSIT_REST_ENDPOINTS": {
            "depid": "/deposit-files",
        },
    }

and the route ``/records/<pid(recid):pid_value>``, the files of record 1 are at ``/records/1/files``.
"""
