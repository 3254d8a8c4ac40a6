"""Make the installation in this folder: run it where Invenio-Files-REST 6.1 and Invenio-Celery are installed.

It writes ``database.sql``, a dump of SQLite in which ``@FOLDER@`` stands for the folder of the data, and ``files``.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from io import BytesIO
from pathlib import Path

from flask import Flask
from invenio_celery import InvenioCelery
from invenio_db import InvenioDB, db
from invenio_i18n import InvenioI18N

from invenio_files_rest import InvenioFilesREST
from invenio_files_rest.models import (
    Bucket,
    BucketTag,
    Location,
    MultipartObject,
    ObjectVersion,
    ObjectVersionTag,
    Part,
)

HERE = Path(__file__).parent


def make(folder: Path) -> None:
    """Make buckets, versions, a delete marker, tags, a snapshot, links and multipart uploads."""
    (folder / "main").mkdir(parents=True)
    (folder / "archive").mkdir()
    (folder / "elsewhere.txt").write_bytes(b"linked")
    db.session.add(Location(name="main", uri=str(folder / "main"), default=True))
    db.session.add(Location(name="archive", uri=str(folder / "archive")))
    db.session.commit()

    bucket = Bucket.create(quota_size=10**6, max_file_size=1000)
    BucketTag.create(bucket, "owner", "Zoë")
    ObjectVersion.create(bucket, "text.txt", stream=BytesIO(b"one"))
    second = ObjectVersion.create(bucket, "text.txt", stream=BytesIO(b"second"), mimetype="text/x-special")
    ObjectVersionTag.create(second, "state", "final")
    ObjectVersion.create(bucket, "folder/été 日本.bin", stream=BytesIO(bytes(range(256))))
    ObjectVersion.create(bucket, "gone.txt", stream=BytesIO(b"gone"))
    ObjectVersion.delete(bucket, "gone.txt")
    linked = ObjectVersion.create(bucket, "linked.txt")
    linked.set_location(str(folder / "elsewhere.txt"), 6, "md5:d48e37bc19b9fe2c72923c30fd7a4152")
    db.session.commit()

    merged = MultipartObject.create(bucket, "merged.bin", 5, 2)
    for number, data in enumerate((b"ab", b"cd", b"e")):
        Part.create(merged, number, stream=BytesIO(data))
    merged.complete()
    merged.merge_parts()
    half = MultipartObject.create(bucket, "half.bin", 5, 2)
    Part.create(half, 1, stream=BytesIO(b"cd"))
    db.session.commit()

    bucket.snapshot(lock=True)
    archive = Bucket.create("archive", storage_class="A")
    ObjectVersion.create(archive, "old.txt", stream=BytesIO(b"old"))
    db.session.commit()
    ObjectVersion.get(bucket, "text.txt").copy(bucket=archive)
    deleted = Bucket.create()
    db.session.commit()
    Bucket.delete(deleted.id)
    db.session.commit()


def main() -> None:
    """Run as a program."""
    with tempfile.TemporaryDirectory() as temporary:
        database, folder = Path(temporary) / "database.db", Path(temporary) / "files"
        app = Flask("make", instance_path=temporary)
        app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{database}", FILES_REST_MULTIPART_CHUNKSIZE_MIN=2)
        for extension in (InvenioCelery, InvenioDB, InvenioI18N, InvenioFilesREST):
            extension(app)
        with app.app_context():
            tables = [table for name, table in db.metadata.tables.items() if name.startswith("files_")]
            db.metadata.create_all(db.engine, tables=tables)
            make(folder)
            db.session.remove()
            db.engine.dispose()
        with sqlite3.connect(database) as connection:
            dump = "\n".join(connection.iterdump())
        (HERE / "database.sql").write_text(dump.replace(str(folder), "@FOLDER@") + "\n")
        shutil.rmtree(HERE / "files", ignore_errors=True)
        shutil.copytree(folder, HERE / "files")


if __name__ == "__main__":
    main()
