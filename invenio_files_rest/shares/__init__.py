"""Links for others, at ``/files/links/<token>``: whoever has one needs no account.

A link gives what it was made for, on behalf of its maker, whose permission is asked anew each time. It is there where
``FILES_REST_SHARES_ENABLED`` says so. Links are made by the REST API, see :mod:`invenio_files_rest.views.links`.
"""

from __future__ import annotations

from flask import Blueprint, Flask
from invenio_rest.csrf import csrf
from werkzeug.exceptions import HTTPException, default_exceptions

from ..http.arguments import KeyConverter
from ..http.languages import speak
from ..http.links import SHARES
from ..views import add_error_handlers
from .answers import guarded, refused, unexpected
from .views import LinkResource


def create_blueprint(app: Flask) -> Blueprint:
    """Make the blueprint of links, which is empty where ``FILES_REST_SHARES_ENABLED`` is off.

    :param app: The REST API.
    """
    blueprint = Blueprint(SHARES, __name__, url_prefix="/files/links", template_folder="templates")
    if not app.config.get("FILES_REST_SHARES_ENABLED", False):
        return blueprint
    view = LinkResource.as_view("link")
    blueprint.record(lambda state: state.app.url_map.converters.update(files_rest_key=KeyConverter))
    # No bucket has the identifier "links".
    blueprint.record(speak)
    blueprint.add_url_rule("/<string:token>", view_func=view)
    blueprint.add_url_rule("/<string:token>/", view_func=view)
    blueprint.add_url_rule("/<string:token>/<files_rest_key:key>", view_func=view, merge_slashes=False)
    blueprint.after_app_request(guarded)
    add_error_handlers(blueprint)
    for code in default_exceptions:
        blueprint.register_error_handler(code, refused)
    blueprint.register_error_handler(HTTPException, refused)
    blueprint.register_error_handler(Exception, unexpected)
    # Who sends a form has the token in its address, which no page of another site knows.
    csrf.exempt(blueprint)
    return blueprint
