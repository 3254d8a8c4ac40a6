"""Pages for people, at ``/`` of the user interface: buckets that one may use, and what is in them.

The server makes them of HTML, so that files are found, uploaded and downloaded without JavaScript. The scripts in
``static/`` add to that what the REST API can do besides, with the session. What pages allow is what that allows. They
are there where ``FILES_REST_PAGES_ENABLED`` says so.
"""

from __future__ import annotations

from flask import Blueprint, Flask
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, default_exceptions

from ..http.arguments import KeyConverter
from ..http.languages import speak
from . import bucket, file, static_files, views
from .answers import busy_page, error_page, guarded, visitor
from .origin import refuse_other_sites

NAME = "invenio_files_rest_pages"
"""Name of the blueprint."""


def create_blueprint(app: Flask) -> Blueprint:
    """Make the blueprint of the pages, which is empty where ``FILES_REST_PAGES_ENABLED`` is off.

    :param app: The user interface.
    """
    if not app.config.get("FILES_REST_PAGES_ENABLED", False):
        return Blueprint(NAME, __name__)
    blueprint = Blueprint(
        NAME,
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path=static_files.current_path(),
    )
    blueprint.record(lambda state: state.app.url_map.converters.update(files_rest_key=KeyConverter))
    blueprint.record(speak)
    others = f"{static_files.PATH}/<string:release>/<path:filename>"
    blueprint.add_url_rule(others, "static_of_another_release", static_files.send_of_another_release)
    blueprint.add_url_rule("/", "start", views.start)
    blueprint.add_url_rule("/favicon.ico", "icon", views.icon)
    blueprint.add_url_rule("/", "create_bucket", views.create_bucket, methods=["POST"])
    blueprint.add_url_rule("/buckets/<string:bucket_id>", "bucket", bucket.show_bucket)
    blueprint.add_url_rule("/buckets/<string:bucket_id>", "upload", bucket.upload, methods=["POST"])
    blueprint.add_url_rule("/archives/<string:bucket_id>", "archive", bucket.archive, methods=["POST"])
    keys = "/<string:bucket_id>/<files_rest_key:key>"
    blueprint.add_url_rule(f"/buckets{keys}", "download", file.download, merge_slashes=False)
    blueprint.add_url_rule(f"/details{keys}", "file", file.show_file, merge_slashes=False)
    # Pages of others may look as these do: by one name, and asked by those alone that do.
    blueprint.app_context_processor(lambda: {"files_rest_visitor": visitor})
    blueprint.before_request(refuse_other_sites)
    blueprint.after_request(guarded)
    # Handlers of an application for a status come before those of a blueprint for all.
    for code in default_exceptions:
        blueprint.register_error_handler(code, error_page)
    blueprint.register_error_handler(HTTPException, error_page)
    blueprint.register_error_handler(PoolTimeoutError, busy_page)
    return blueprint
