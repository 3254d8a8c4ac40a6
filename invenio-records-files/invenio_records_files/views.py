"""The REST API of a record's files: that of Files-REST for a bucket, under the URL of the record."""

from __future__ import annotations

import uuid
from copy import deepcopy
from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response
from invenio_files_rest.serializer import json_serializer
from invenio_files_rest.utils import obj_or_import_string
from invenio_files_rest.views import BucketResource, ObjectResource
from invenio_files_rest.views import blueprint as files_rest_blueprint
from invenio_pidstore.errors import PersistentIdentifierError
from invenio_pidstore.resolver import Resolver
from invenio_rest import ContentNegotiatedMethodView
from sqlalchemy.exc import NoResultFound
from werkzeug.routing import PathConverter

from .api import Record
from .serializer import serializer_mapping

_NO_BUCKET = uuid.UUID(int=0)
"""An identifier that no bucket has, for which Files-REST returns its usual error."""


class KeyConverter(PathConverter):
    """The key of an object in a URL: a path that may begin with a slash and contain line breaks."""

    regex = "(?s:.+)"
    part_isolating = False


def _bucket_id(pid_value: Any, pid_type: str, record_class: Any) -> uuid.UUID:
    """Return the identifier of a record's bucket, or :data:`_NO_BUCKET` if it has none or there is no such record.

    :param pid_value: Value of its persistent identifier, or the object that Invenio-Records-REST's converters return.
    :param pid_type: Type of the persistent identifier.
    :param record_class: Class of the record.
    """
    resolver = getattr(pid_value, "resolver", None) or Resolver(pid_type, "rec", record_class.get_record)
    try:
        _, record = resolver.resolve(getattr(pid_value, "value", pid_value))
    except (PersistentIdentifierError, NoResultFound):
        return _NO_BUCKET
    if record.model.is_deleted:
        return _NO_BUCKET
    if not hasattr(record, "bucket_id"):
        # A route that does not name the class yields records without files.
        record = record_class(record, model=record.model)
    try:
        return uuid.UUID(str(record.bucket_id))
    except ValueError:
        return _NO_BUCKET


class RecordFilesView(ContentNegotiatedMethodView):
    """A view of Files-REST under the URL of a record.

    :param pid_type: Type of the persistent identifiers.
    :param record_class: Class of the records, if the route does not name it.
    :param view_name: Name of the view of the bucket.
    """

    def __init__(self, pid_type: str, record_class: Any, view_name: str) -> None:
        """Store the data of the endpoint."""
        serializer = partial(json_serializer, serializer_mapping=serializer_mapping, view_name=view_name)
        super().__init__(serializers={"application/json": serializer})
        self.pid_type = pid_type
        self.record_class = record_class

    def dispatch_request(self, pid_value: Any, key: str | None = None, **route: Any) -> Response:
        """Call the view of Files-REST with the bucket of the record.

        :param pid_value: Persistent identifier of the record.
        :param key: Key of the object.
        :param route: Other arguments of the endpoint's route; not used.
        :raises werkzeug.exceptions.NotFound: If the record does not exist, or has no bucket.
        """
        arguments = {} if key is None else {"key": key}
        bucket_id = _bucket_id(pid_value, self.pid_type, self.record_class)
        response: Response = super().dispatch_request(bucket_id=str(bucket_id), **arguments)
        return response


class RecordBucketResource(RecordFilesView, BucketResource):
    """The bucket of a record."""


class RecordObjectResource(RecordFilesView, ObjectResource):
    """An object in the bucket of a record."""


def create_blueprint_from_app(app: Flask) -> Blueprint:
    """Make the blueprint for the endpoints in ``RECORDS_FILES_REST_ENDPOINTS``.

    :param app: The application.
    :returns: The blueprint.
    :raises ValueError: If the setting names an endpoint that is not defined.
    """
    blueprint = Blueprint("invenio_records_files", __name__)
    blueprint.record(lambda state: state.app.url_map.converters.update(record_file_key=KeyConverter))
    served = app.config.get("RECORDS_FILES_REST_ENDPOINTS") or {}
    for setting, paths in served.items():
        for endpoint, path in paths.items():
            try:
                options = app.config[setting][endpoint]
            except (KeyError, TypeError):
                raise ValueError(
                    f"RECORDS_FILES_REST_ENDPOINTS names {endpoint!r}, which {setting} does not have."
                ) from None
            _add_endpoint(blueprint, endpoint, options, path)
    if served:
        # Invenio-Files-REST 6.1 builds its links with the names of its views in the blueprint of the request.
        blueprint.add_url_rule("/<bucket_id>", endpoint="bucket_api", build_only=True)
        blueprint.add_url_rule("/<bucket_id>/<path:key>", endpoint="object_api", build_only=True)
    blueprint.error_handler_spec = deepcopy(files_rest_blueprint.error_handler_spec)
    return blueprint


def _add_endpoint(blueprint: Blueprint, endpoint: str, options: dict[str, Any], path: str) -> None:
    url = f"{options['item_route'].rstrip('/')}/{path.strip('/')}"
    view_name = f"{endpoint}_bucket_api"
    arguments = {
        "pid_type": options["pid_type"],
        "record_class": obj_or_import_string(options.get("record_class") or Record),
        "view_name": view_name,
    }
    bucket = RecordBucketResource.as_view(view_name, **arguments)
    blueprint.add_url_rule(url, view_func=bucket)
    blueprint.add_url_rule(f"{url}/", view_func=bucket)
    objects = RecordObjectResource.as_view(f"{endpoint}_object_api", **arguments)
    blueprint.add_url_rule(f"{url}/<record_file_key:key>", view_func=objects, merge_slashes=False)
