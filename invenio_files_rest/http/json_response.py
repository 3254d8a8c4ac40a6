"""Responses with one object or several in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Response, current_app
from marshmallow import Schema
from marshmallow_utils.context import context_schema

from ..models import ObjectVersion
from ..models.listing import Listing
from .json_streams import array_response, contents_response, dumps
from .links import next_page_url
from .schemas import BucketPage, ObjectVersionSchema, is_one_by_one, schema_of, serializer_mapping, shown_bucket
from .waiting import once_done


def json_serializer(
    data: Any = None,
    code: int = 200,
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    etag: str | None = None,
    task_result: Any = None,
    serializer_mapping: Mapping[type, type[Schema]] = serializer_mapping,
    view_name: str | None = None,
) -> Response:
    """Make the response with one object or several.

    :param data: The object, or several if ``many`` is set in the context; these are streamed if the schema is
        :attr:`~BaseSchema.one_by_one`. ``None`` for an empty response.
    :param code: HTTP status.
    :param headers: Further headers.
    :param context: ``class``, the model whose schema is used; ``many``; ``bucket``, the bucket of the objects, or
        anything with its attributes; ``multipart``, the upload of the parts; ``object_version_id``, the identifier of
        the version that an upload becomes. Schemas find it in ``marshmallow_utils.context.context_schema``.
    :param etag: Entity tag.
    :param task_result: ``AsyncResult`` of a task that the response waits for; see
        :func:`~invenio_files_rest.http.waiting.once_done`.
    :param serializer_mapping: The schema of each model; models that it lacks have ours.
    :param view_name: Name of the view; it is added to the context, for the schemas of other packages.
    :returns: The response.
    """
    context = dict(context or {})
    if data is None:
        response = current_app.response_class(status=code, mimetype="application/json")
    else:
        known = context | {"serializer_mapping": serializer_mapping} | ({"view_name": view_name} if view_name else {})
        token = context_schema.set(known)
        try:
            response = _shown(data, context.get("class", type(data)), bool(context.get("many")), serializer_mapping)
        finally:
            context_schema.reset(token)
        response.status_code = code
    response.headers.extend(headers or {})
    if etag:
        response.set_etag(etag)
    if data is not None and task_result is not None:
        once_done(response, task_result, context.get("object_version_id"), getattr(data, "upload_id", None))
    return response


def _shown(data: Any, model: Any, many: bool, mapping: Mapping[Any, type[Schema]]) -> Response:
    schema = schema_of(model, mapping)
    if many and is_one_by_one(type(schema)):
        # Not with dump(), which would call the hooks for each of them, and takes twice as long.
        items = map(schema._serialize, data)
        return _contents(items, data) if isinstance(schema, ObjectVersionSchema) else array_response(items)
    shown = schema.dump(list(data) if many else data, many=many)
    if many and model is ObjectVersion and isinstance(shown, list):
        shown = {"contents": shown, **shown_bucket()}
    next_page = data.following if isinstance(data, BucketPage) else None
    if isinstance(data, Listing):
        next_page = _add_page(shown, data)
    return _with_next(current_app.response_class(dumps(shown), mimetype="application/json"), next_page)


def _contents(items: Iterable[dict[str, Any]], objects: Any) -> Response:
    """Make the response with a bucket and its contents.

    :param items: The serialized objects.
    :param objects: The objects.
    """
    next_page: list[str | None] = []

    def describe() -> dict[str, Any]:
        rest = shown_bucket()
        # The beginning of the next page is known only after this one has been read.
        next_page.append(_add_page(rest, objects) if isinstance(objects, Listing) else None)
        return rest

    response = contents_response(items, describe)
    return _with_next(response, next_page[0])


def _add_page(shown: dict[str, Any], listing: Listing) -> str | None:
    """Add the common prefixes and the link to the next page of a listing.

    :param shown: The serialized bucket, which is changed.
    :param listing: The listing, which has been iterated over.
    :returns: URL of the next page, or ``None`` if there is none.
    """
    if listing.delimiter:
        shown["common_prefixes"] = listing.common_prefixes
    if listing.next_start_after is None:
        return None
    url = next_page_url(shown["links"]["self"], start_after=listing.next_start_after)
    shown["links"] = shown["links"] | {"next": url}
    return url


def _with_next(response: Response, url: str | None) -> Response:
    if url:
        response.headers["Link"] = f'<{url}>; rel="next"'
    return response
