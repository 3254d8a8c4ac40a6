"""The least that a small request takes in Flask with psycopg2: our statements and our waiting for the disk, no more.

It checks nothing, asks nobody for permission, and answers with an identifier. Tables and bucket are those that
``application.py`` has made.
"""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import psycopg2
from flask import Flask, Response, request
from sqlalchemy import make_url
from werkzeug.wsgi import wrap_file

FOLDER = os.environ["BENCHMARK_FOLDER"]
DATABASE = make_url(os.environ["BENCHMARK_DATABASE"]).set(drivername="postgresql").render_as_string(hide_password=False)

READ_BUCKET = "SELECT * FROM files_bucket WHERE id = %s AND NOT deleted"
READ_OBJECT = """
    SELECT object.*, bucket.*, file.*
    FROM files_object object
    JOIN files_bucket bucket ON bucket.id = object.bucket_id
    LEFT JOIN files_files file ON file.id = object.file_id
    WHERE object.bucket_id = %s AND object.key = %s AND object.is_head
"""
CLAIM = """
    UPDATE files_bucket SET size = size + %s, updated = %s WHERE id = %s AND NOT locked AND NOT deleted RETURNING *
"""
STEP_DOWN = "UPDATE files_object SET is_head = false WHERE bucket_id = %s AND key = %s AND is_head"
ADD_FILE = """
    INSERT INTO files_files (id, uri, storage_class, size, checksum, readable, writable, last_check, created, updated)
    VALUES (%s, %s, 'S', %s, %s, true, false, true, %s, %s)
"""
ADD_OBJECT = """
    INSERT INTO files_object (version_id, bucket_id, key, file_id, is_head, created, updated)
    VALUES (%s, %s, %s, %s, true, %s, %s)
"""

application = Flask("bare")
_of_thread = threading.local()


def connection() -> Any:
    """Return this thread's connection to the database."""
    if not hasattr(_of_thread, "connection"):
        _of_thread.connection = psycopg2.connect(DATABASE)
    return _of_thread.connection


def store(identifier: str, body: bytes) -> str:
    """Store a file durably, and return its path."""
    made, folder = [], FOLDER
    for name in (identifier[:2], identifier[2:4], identifier[4:]):
        above, folder = folder, f"{folder}/{name}"
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        made.append(above)
    path = f"{folder}/data"
    with open(f"{path}.new", "wb", buffering=0) as file:
        file.write(body)
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)
    for changed in [folder, *made]:
        descriptor = os.open(changed, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return path


@application.get("/files/<bucket>")
def ready(bucket: str) -> str:
    """Tell that the server runs."""
    return bucket


@application.put("/files/<bucket>/<path:key>")
def put(bucket: str, key: str) -> Response:
    """Store a file as the head of an object."""
    body = request.stream.read()
    database = connection()
    cursor = database.cursor()
    cursor.execute(READ_BUCKET, (bucket,))
    cursor.fetchall()
    database.commit()
    file, version, now = str(uuid4()), str(uuid4()), datetime.now(timezone.utc)
    checksum = f"md5:{hashlib.md5(body, usedforsecurity=False).hexdigest()}"
    path = store(file, body)
    cursor.execute(CLAIM, (len(body), now, bucket))
    cursor.fetchall()
    cursor.execute(STEP_DOWN, (bucket, key))
    cursor.execute(ADD_FILE, (file, path, len(body), checksum, now, now))
    cursor.execute(ADD_OBJECT, (version, bucket, key, file, now, now))
    database.commit()
    return Response(version)


@application.get("/files/<bucket>/<path:key>")
def get(bucket: str, key: str) -> Response:
    """Send the file of an object."""
    database = connection()
    cursor = database.cursor()
    cursor.execute(READ_OBJECT, (bucket, key))
    row = cursor.fetchone()
    path = row[[column.name for column in cursor.description].index("uri")]
    database.rollback()
    file = open(path, "rb")  # noqa: SIM115 (the server closes it)
    headers = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
    return Response(wrap_file(request.environ, file), headers=headers, direct_passthrough=True)
