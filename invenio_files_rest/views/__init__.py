"""The REST API, under ``/files``."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from invenio_rest.errors import RESTException
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import ClientDisconnected, HTTPException, ServiceUnavailable, default_exceptions

from ..http.arguments import KeyConverter, as_uuid, invalid_subresource_validator
from ..http.json_response import json_serializer
from ..http.routing import without_token
from ..http.upload_body import (
    ngfileupload_uploadfactory,
    parse_header_tags,
    stream_uploadfactory,
)
from ..messages import language_of_request, translated
from ..messages import lazy_gettext as _
from ..services.validation import minsize_validator, validate_tag
from ..tasks import merge_multipartobject, remove_file_data
from ..telemetry.exposition import metrics
from .base import complete_errors, report, report_busy
from .bucket import BucketResource
from .decorators import (
    check_permission,
    ensure_input_stream_is_not_exhausted,
    need_bucket_permission,
    need_location_permission,
    need_permissions,
    pass_bucket,
)
from .location import LocationResource
from .multipart import default_partfactory, ngfileupload_partfactory, pass_multipart
from .object import ObjectResource
from .openapi import openapi

__all__ = (
    "BucketResource",
    "LocationResource",
    "ObjectResource",
    "add_error_handlers",
    "as_uuid",
    "blueprint",
    "bucket_view",
    "check_permission",
    "default_partfactory",
    "ensure_input_stream_is_not_exhausted",
    "invalid_subresource_validator",
    "location_view",
    "merge_multipartobject",
    "minsize_validator",
    "need_bucket_permission",
    "need_location_permission",
    "need_permissions",
    "ngfileupload_partfactory",
    "ngfileupload_uploadfactory",
    "object_view",
    "parse_header_tags",
    "pass_bucket",
    "pass_multipart",
    "remove_file_data",
    "stream_uploadfactory",
    "validate_tag",
)

blueprint = Blueprint("invenio_files_rest", __name__, url_prefix="/files")
"""The blueprint of the REST API."""

_serializers = {"application/json": json_serializer}

location_view = LocationResource.as_view("location_api", serializers=_serializers)
"""View of ``/files``."""

bucket_view = BucketResource.as_view("bucket_api", serializers=_serializers)
"""View of a bucket."""

object_view = ObjectResource.as_view("object_api", serializers=_serializers)
"""View of an object."""

# No bucket has these identifiers.
blueprint.add_url_rule("/metrics", "metrics", metrics)
blueprint.add_url_rule("/openapi.json", "openapi", openapi)
blueprint.add_url_rule("", view_func=location_view)
blueprint.add_url_rule("/", view_func=location_view)
blueprint.add_url_rule("/<string:bucket_id>", view_func=bucket_view)
# Slashes in keys are not merged: "a//b" is not "a/b".
blueprint.record(lambda state: state.app.url_map.converters.update(files_rest_key=KeyConverter))
blueprint.add_url_rule("/<string:bucket_id>/<files_rest_key:key>", view_func=object_view, merge_slashes=False)
blueprint.after_app_request(complete_errors)


def error_response(error: HTTPException) -> Response | HTTPException:
    """Return an error as JSON, and log it if it is not the client's fault; for a disconnected client log one line."""
    if error.response is not None:
        return error
    if isinstance(error, ClientDisconnected):
        path = without_token(request.path)
        current_app.logger.info("%s %r: %s (%r)", request.method, path, error.description, error.__cause__)
    report(error)
    if isinstance(error, RESTException):
        return error
    answer = RESTException(description=translated(error.description))
    answer.code = error.code
    response: Response = answer.get_response()
    # For example Allow, which a 405 must have (RFC 9110, section 15.5.6).
    response.headers.extend((name, value) for name, value in error.get_headers() if name != "Content-Type")
    return response


BUSY_SECONDS = 10
"""Seconds after which a client may try again if all database connections were in use."""


def busy_response(error: PoolTimeoutError) -> Response | HTTPException:
    """Return 503, since all connections to the database are in use (RFC 9110, section 15.6.4), and log it."""
    report_busy(error)
    with language_of_request():
        return error_response(ServiceUnavailable(_("The server is busy. Try again later."), retry_after=BUSY_SECONDS))


def add_error_handlers(blueprint: Blueprint) -> None:
    """Make a blueprint return all errors as JSON.

    :param blueprint: The blueprint.
    """
    # For each status, since an application's handler for a status precedes a blueprint's handler for all of them.
    for code in default_exceptions:
        blueprint.register_error_handler(code, error_response)
    blueprint.register_error_handler(HTTPException, error_response)
    blueprint.register_error_handler(PoolTimeoutError, busy_response)


add_error_handlers(blueprint)
