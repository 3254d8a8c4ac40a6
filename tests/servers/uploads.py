"""Requests for uploads of free shape, in the plainest protocol that there can be: for tests alone."""

from __future__ import annotations

import json
import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request
from invenio_db import db

from invenio_files_rest.http.interruption import interrupter
from invenio_files_rest.models import Bucket
from invenio_files_rest.services.dispatch import send_task
from invenio_files_rest.services.uploads.plans import APPENDED, PLANS

blueprint = Blueprint("uploads", __name__)


@blueprint.post("/uploads/<plan>")
def begin(plan: str) -> Any:
    """Begin an upload to a bucket."""
    bucket = db.session.get(Bucket, uuid.UUID(request.args["bucket"]))
    upload = PLANS[plan].begin(bucket, request.args["key"], request.args.get("length", type=int), protocol="test")
    return jsonify(id=str(upload))


@blueprint.put("/uploads/<plan>/<uuid:upload>/<int:place>")
def write(plan: str, upload: uuid.UUID, place: int) -> Any:
    """Write the body."""
    options = {"whole": True} if "whole" in request.args else {}
    found: Any = PLANS[plan].write(
        upload,
        place,
        request.stream,
        size=request.content_length,
        shut=interrupter(request.environ),
        **options,
    )
    if plan == APPENDED.name:
        return jsonify(offset=found.offset, broken=found.broken)
    return jsonify(size=found.size, digests=found.digests)


@blueprint.get("/uploads/<plan>/<uuid:upload>")
def look(plan: str, upload: uuid.UUID) -> Any:
    """Tell what is there, and for a run stop whoever writes it."""
    if plan == APPENDED.name:
        return jsonify(offset=APPENDED.offset(upload, take_over="take_over" in request.args).offset)
    return jsonify([part.number for part in PLANS[plan].extents(upload)])


@blueprint.post("/uploads/<plan>/<uuid:upload>")
def complete(plan: str, upload: uuid.UUID) -> Any:
    """Make it a version, or leave that to a task."""
    if "later" in request.args:
        PLANS[plan].close(upload)
        send_task("complete_upload", str(upload))
        return jsonify(version=str(uuid.uuid5(upload, "version")))
    return jsonify(version=str(PLANS[plan].complete(upload)))


@blueprint.delete("/uploads/<plan>/<uuid:upload>")
def abort(plan: str, upload: uuid.UUID) -> Response:
    """Abort it."""
    PLANS[plan].abort(upload)
    return Response(json.dumps({}), mimetype="application/json")
