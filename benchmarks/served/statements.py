"""Count the statements that operations send to the database, and print them as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from application import application
from invenio_db import db
from sqlalchemy import event

from invenio_files_rest.models import Bucket, ObjectVersion

OBJECTS = 50
"""Objects of the bucket that is listed, copied and synchronised."""


def main() -> dict[str, int]:
    """Count them."""
    client = application.test_client()
    bucket = client.post("/files").get_json()["id"]
    path = f"/files/{bucket}/key"
    many, other = Bucket.create(), Bucket.create()
    db.session.commit()
    for number in range(OBJECTS):
        ObjectVersion.create(many, str(number), stream=io.BytesIO(b"x"))
    db.session.commit()
    seen: list[str] = []

    @event.listens_for(db.engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *args: Any) -> None:
        seen.append(statement)

    def count(work: Callable[[], Any]) -> int:
        many.size, other.size  # noqa: B018 (loads them)
        seen.clear()
        work()
        db.session.flush()
        counted = len(seen)
        db.session.commit()
        return counted

    return {
        "PUT": count(lambda: client.put(path, data=b"x")),
        "GET": count(lambda: client.get(path).data),
        "DELETE": count(lambda: client.delete(path)),
        "listing": count(lambda: client.get(f"/files/{many.id}").data),
        "snapshot": count(many.snapshot),
        "sync": count(lambda: many.sync(other)),
    }


if __name__ == "__main__":
    with application.app_context():
        print(json.dumps({"objects": OBJECTS, **main()}))
