"""A walk through the REST API of the files of a record, with the packages that Python finds first.

``python walk.py FOLDER`` makes its database and its files in the folder, and prints where it found the two packages.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import invenio_files_rest
from flask.testing import FlaskClient
from invenio_access import InvenioAccess
from invenio_accounts import InvenioAccountsREST
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.app import Flask
from invenio_files_rest.models import Location
from invenio_files_rest.views import blueprint
from invenio_i18n import InvenioI18N
from invenio_jsonschemas import InvenioJSONSchemas
from invenio_pidstore import InvenioPIDStore
from invenio_pidstore.models import PersistentIdentifier, PIDStatus
from invenio_records import InvenioRecords
from invenio_records_rest import InvenioRecordsREST
from invenio_records_rest.utils import PIDConverter
from invenio_records_rest.views import create_blueprint_from_app as records_rest_blueprint
from invenio_rest import InvenioREST

import invenio_records_files
from invenio_records_files.api import Record
from invenio_records_files.ext import InvenioRecordsFiles
from invenio_records_files.views import create_blueprint_from_app

HOST = "http://localhost"
FILES = "/records/1/files"


def make_app(folder: Path) -> Flask:
    """Make an application that serves records and their files to everybody."""
    app = Flask("walk", instance_path=str(folder))
    record = '<pid(recid,record_class="invenio_records_files.api.Record"):pid_value>'
    app.config.update(
        ACCOUNTS_SESSION_REDIS_URL="",
        ACCOUNTS_USE_CELERY=False,
        CACHE_TYPE="SimpleCache",
        CELERY_CACHE_BACKEND="memory",
        CELERY_RESULT_BACKEND="cache",
        CELERY_TASK_ALWAYS_EAGER=True,
        FILES_REST_MULTIPART_CHUNKSIZE_MIN=2,
        FILES_REST_PERMISSION_FACTORY=lambda obj, action: SimpleNamespace(can=lambda: True),
        JSONSCHEMAS_HOST="localhost",
        RECORDS_FILES_REST_ENDPOINTS={"RECORDS_REST_ENDPOINTS": {"recid": "/files"}},
        RECORDS_REST_ENDPOINTS={
            "recid": {
                "pid_type": "recid",
                "pid_minter": "recid",
                "pid_fetcher": "recid",
                "list_route": "/records/",
                "item_route": f"/records/{record}",
                "default_media_type": "application/json",
                "record_serializers": {"application/json": "invenio_records_rest.serializers:json_v1_response"},
                "search_serializers": {"application/json": "invenio_records_rest.serializers:json_v1_search"},
                "links_factory_imp": "invenio_records_files.links:default_record_files_links_factory",
                "read_permission_factory_imp": "invenio_records_rest.utils:allow_all",
            }
        },
        SECRET_KEY="for tests alone",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/walk.db",
    )
    for extension in (
        InvenioCelery,
        InvenioDB,
        InvenioI18N,
        InvenioREST,
        InvenioAccountsREST,
        InvenioAccess,
        InvenioJSONSchemas,
        InvenioPIDStore,
        InvenioRecords,
        InvenioRecordsREST,
        InvenioFilesREST,
        InvenioRecordsFiles,
    ):
        extension(app)
    app.url_map.converters["pid"] = PIDConverter
    app.register_blueprint(blueprint)
    app.register_blueprint(records_rest_blueprint(app))
    app.register_blueprint(create_blueprint_from_app(app))
    return app


def make_record(folder: Path) -> str:
    """Make the record of the identifier 1, and return the identifier of its bucket."""
    db.create_all()
    db.session.add(Location(name="local", uri=str(folder / "files"), default=True))
    db.session.commit()
    record = Record.create({"title": "Thesis"})
    PersistentIdentifier.create("recid", "1", object_type="rec", object_uuid=record.id, status=PIDStatus.REGISTERED)
    db.session.commit()
    return str(record.bucket_id)


def walk(client: FlaskClient, bucket_id: str) -> None:
    """Store, show, list and delete files of the record."""
    assert client.get("/records/1").json["links"]["files"] == HOST + FILES

    first = stored(client, "a.txt", b"one")
    second = stored(client, "a.txt", b"two!")
    stored(client, "folder/b ü.txt", b"three")
    assert client.get(f"{FILES}/a.txt?versionId={first['version_id']}").data == b"one"
    assert client.head(FILES).status_code == client.head(f"{FILES}/a.txt").status_code == 200
    assert listed(client, bucket_id) == [("a.txt", 4), ("folder/b ü.txt", 5)]
    assert listed(client, bucket_id, "?versions") == [("a.txt", 4), ("a.txt", 3), ("folder/b ü.txt", 5)]

    upload = client.post(f"/files/{bucket_id}/parts?uploads&size=6&partSize=4").json["id"]
    part = client.put(f"{FILES}/parts?uploadId={upload}&partNumber=0", data=b"abcd")
    assert (part.status_code, part.json["end_byte"]) == (200, 4)
    shown = client.get(f"{FILES}/parts?uploadId={upload}").json
    assert (shown["id"], [part["part_number"] for part in shown["parts"]]) == (upload, [0])
    assert [entry["id"] for entry in client.get(f"{FILES}?uploads").json] == [upload]
    assert client.delete(f"{FILES}/parts?uploadId={upload}").status_code == 204

    assert client.delete(f"{FILES}/a.txt?versionId={first['version_id']}").status_code == 204
    assert client.delete(f"{FILES}/a.txt").status_code == 204
    assert client.get(f"{FILES}/a.txt").status_code == 404
    assert client.get(f"{FILES}/a.txt?versionId={second['version_id']}").data == b"two!"
    assert listed(client, bucket_id) == [("folder/b ü.txt", 5)]
    assert client.get("/records/2/files").status_code == 404
    # Where Files-REST serves the same bucket, links stay there.
    assert client.get(f"/files/{bucket_id}").json["links"]["self"] == f"{HOST}/files/{bucket_id}"


def stored(client: FlaskClient, key: str, content: bytes) -> dict[str, Any]:
    """Store a file, and follow the link to it."""
    answer = client.put(f"{FILES}/{key}", data=content)
    assert (answer.status_code, answer.json["key"], answer.json["size"]) == (200, key, len(content))
    links = answer.json["links"]
    assert all(link.startswith(f"{HOST}{FILES}/") for link in links.values())
    assert client.get(links["self"]).data == client.get(links["version"]).data == content
    return dict(answer.json)


def listed(client: FlaskClient, bucket_id: str, query: str = "") -> list[tuple[str, int]]:
    """List the files, and return the key and the size of each that is no delete marker."""
    answer = client.get(FILES + query)
    assert (answer.status_code, answer.json["id"]) == (200, bucket_id)
    url = HOST + FILES
    assert answer.json["links"] == {"self": url, "versions": f"{url}?versions", "uploads": f"{url}?uploads"}
    return [(entry["key"], entry["size"]) for entry in answer.json["contents"] if not entry["delete_marker"]]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    app = make_app(folder)
    with app.app_context():
        bucket_id = make_record(folder)
    walk(app.test_client(), bucket_id)
    sys.stdout.write(f"{invenio_files_rest.__file__}\n{invenio_records_files.__file__}\n")
