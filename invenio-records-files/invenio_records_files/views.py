"""The REST API of a record's files: what Files-REST does with a bucket, under the record's URL."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, abort, url_for
from invenio_files_rest.serializer import bucket_served_at, json_serializer
from invenio_files_rest.utils import obj_or_import_string
from invenio_files_rest.views import BucketResource, ObjectResource, add_error_handlers, as_uuid
from invenio_files_rest.views.arguments import NOT_FOUND, KeyConverter
from invenio_files_rest.views.base import FilesView, for_who_asked
from invenio_pidstore.errors import PersistentIdentifierError
from invenio_pidstore.resolver import Resolver
from sqlalchemy.exc import NoResultFound

from .api import Record


def _find_record(pid_value: Any, pid_type: str, record_class: Any) -> Any:
    """Return the record of a persistent identifier.

    :param pid_value: Its value, or what the converters of Invenio-Records-REST make of it.
    :param pid_type: Type of the persistent identifier.
    :param record_class: Class of the record.
    :raises werkzeug.exceptions.NotFound: Where there is none.
    """
    resolver = getattr(pid_value, "resolver", None) or Resolver(pid_type, "rec", record_class.get_record)
    try:
        _, record = resolver.resolve(getattr(pid_value, "value", pid_value))
    except (PersistentIdentifierError, NoResultFound):
        abort(404, description=NOT_FOUND)
    if record.model.is_deleted:
        abort(404, description=NOT_FOUND)
    # A route that names no class has records without files.
    return record if hasattr(record, "bucket_id") else record_class(record, model=record.model)


class RecordFilesView(FilesView):
    """A view of Files-REST under the URL of a record.

    :param pid_type: Type of the persistent identifiers.
    :param record_class: Class of the records, where the route names none.
    :param bucket_endpoint: Flask's name of the view of the bucket.
    """

    def __init__(self, pid_type: str, record_class: Any, bucket_endpoint: str) -> None:
        """Keep what is known of the endpoint."""
        super().__init__(serializers={"application/json": json_serializer})
        self.pid_type = pid_type
        self.record_class = record_class
        self.bucket_endpoint = bucket_endpoint

    @for_who_asked
    def dispatch_request(self, pid_value: Any, key: str | None = None, **route: Any) -> Response:
        """Do with the record's bucket what Files-REST does, with links that lead to it under the record.

        :param pid_value: Persistent identifier of the record.
        :param key: Key of the object.
        :param route: Other arguments of the endpoint's route.
        :raises werkzeug.exceptions.NotFound: Where there is no such record, or it has no bucket.
        """
        record = _find_record(pid_value, self.pid_type, self.record_class)
        bucket_id = as_uuid(str(record.bucket_id))
        value = getattr(pid_value, "value", pid_value)
        url = url_for(self.bucket_endpoint, pid_value=value, _external=True, **route)
        arguments = {"bucket_id": str(bucket_id)} | ({} if key is None else {"key": key})
        with bucket_served_at(bucket_id, url):
            response: Response = super().dispatch_request(**arguments)
        return response


class RecordBucketResource(RecordFilesView, BucketResource):
    """The bucket of a record."""


class RecordObjectResource(RecordFilesView, ObjectResource):
    """An object in the bucket of a record."""


def create_blueprint_from_app(app: Flask) -> Blueprint:
    """Make the blueprint of the endpoints that ``RECORDS_FILES_REST_ENDPOINTS`` names.

    :param app: The application.
    :returns: The blueprint.
    :raises ValueError: Where it names an endpoint that is not defined.
    """
    blueprint = Blueprint("invenio_records_files", __name__)
    blueprint.record(lambda state: state.app.url_map.converters.update(files_rest_key=KeyConverter))
    for setting, paths in (app.config.get("RECORDS_FILES_REST_ENDPOINTS") or {}).items():
        for endpoint, path in paths.items():
            try:
                options = app.config[setting][endpoint]
            except (KeyError, TypeError):
                raise ValueError(
                    f"RECORDS_FILES_REST_ENDPOINTS names {endpoint!r}, which {setting} does not have."
                ) from None
            _add_endpoint(blueprint, endpoint, options, path)
    add_error_handlers(blueprint)
    return blueprint


def _add_endpoint(blueprint: Blueprint, endpoint: str, options: dict[str, Any], path: str) -> None:
    url = f"{options['item_route'].rstrip('/')}/{path.strip('/')}"
    name = f"{endpoint}_bucket_api"
    arguments = {
        "pid_type": options["pid_type"],
        "record_class": obj_or_import_string(options.get("record_class") or Record),
        "bucket_endpoint": f"{blueprint.name}.{name}",
    }
    bucket = RecordBucketResource.as_view(name, **arguments)
    blueprint.add_url_rule(url, view_func=bucket)
    blueprint.add_url_rule(f"{url}/", view_func=bucket)
    objects = RecordObjectResource.as_view(f"{endpoint}_object_api", **arguments)
    blueprint.add_url_rule(f"{url}/<files_rest_key:key>", view_func=objects, merge_slashes=False)
