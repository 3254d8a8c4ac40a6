"""``/files/links/<token>``: what a link gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Response, abort, current_app, request
from werkzeug.exceptions import MethodNotAllowed

from ..errors import BucketLockedError, PreconditionFailed
from ..http.arguments import PAGE, flag, refuse_stray_arguments, use_kwargs
from ..http.json_streams import dumps
from ..http.links import share_url
from ..http.preconditions import write_conditions
from ..http.upload_body import read_chosen_file, read_upload
from ..messages import lazy_gettext as _
from ..models import ObjectVersion
from ..models.share import PREFIX, UPLOAD, FoundShare, Share
from ..proxies import current_permission_factory
from ..services.conditions import check_write_conditions
from ..services.objects import store_object
from ..tus import draft
from ..views.archive import ARCHIVE, send_archive
from ..views.base import FilesView
from ..views.decorators import check_permission, ensure_input_stream_is_not_exhausted
from ..views.object import ObjectResource
from .answers import page, wants_page
from .folder import Folder
from .opening import no_link, on_behalf_of_maker, open_link


class LinkResource(FilesView):
    """What a link gives."""

    takes_stream = True

    @use_kwargs({**PAGE, **ARCHIVE, "download": flag("download")}, location="query")
    def get(
        self,
        token: str,
        key: str | None = None,
        download: Any = None,
        archive: str | None = None,
        at: str | None = None,
        **listing: Any,
    ) -> Response:
        """Send an object, list what is under the prefix, or send all of it in one file.

        :param token: Token of the link.
        :param key: Key of the object.
        :param download: Set to have a browser save the object.
        :param archive: Format of the file with all objects.
        :param at: Stamp of the state that is sent in it.
        :param listing: The page to list.
        """
        found = open_link(token, key)
        share, bucket = found.share, found.bucket
        if share.kind == UPLOAD:
            return _upload_form(found, token, key)
        if share.kind == PREFIX and key is None:
            prefix = listing.setdefault("prefix", share.key)
            if not share.covers(prefix):
                no_link()
            with on_behalf_of_maker(found):
                check_permission(current_permission_factory(bucket, "bucket-read"))
                if archive is not None:
                    check_permission(current_permission_factory(bucket, "object-read"))
                    name = prefix.rstrip("/").rpartition("/")[2] or "files"
                    return send_archive(bucket, archive, prefix, at, share_url(token), name)
            folder = Folder(found, token, **listing)
            return folder.page() if wants_page() else folder.json()
        key = share.key if key is None else key
        if not share.covers(key):
            no_link()
        with on_behalf_of_maker(found):
            obj = ObjectResource.get_object(bucket, key, share.version_id)
        return ObjectResource.send_object(bucket, obj, as_attachment=download is not None)

    @ensure_input_stream_is_not_exhausted
    def put(self, token: str, key: str | None = None) -> Response:
        """Store a new object. What is there already stays.

        :param token: Token of the link.
        :param key: Key of the object.
        """
        refuse_stray_arguments()
        found = _for_upload(token, key)
        if key is None or not found.share.covers(key) or key == found.share.key:
            no_link()
        if draft.completes() is False:
            # What is stored as the whole could be neither gone on with nor replaced.
            abort(400, description=_("A link takes whole files, each in one request."))
        _ensure_new(found, key)
        if request.headers.get(current_app.config["FILES_REST_FILE_TAGS_HEADER"]):
            abort(400, description=_("Objects that are stored by a link have no tags."))
        upload = read_upload(found.bucket.size_limit)
        return _stored(_store(found, token, key, upload.stream, upload.size), token)

    def post(self, token: str, key: str | None = None) -> Response:
        """Store the file of a form, as browsers without a script send it.

        :param token: Token of the link.
        :param key: The prefix, or nothing.
        """
        refuse_stray_arguments()
        found = _for_upload(token, key)
        if key not in (None, found.share.key):
            no_link()
        _ensure_unlocked(found)
        file = read_chosen_file()
        name = found.share.key + file.name
        _ensure_new(found, name)
        return _stored(_store(found, token, name, file.stream), token)

    def delete(self, **kwargs: Any) -> NoReturn:
        """Refuse what no link is for, lest the URL be taken for that of an object.

        :raises werkzeug.exceptions.MethodNotAllowed: Always.
        """
        raise MethodNotAllowed(["GET", "HEAD", "OPTIONS", "PUT", "POST"])

    patch = delete


def _upload_form(found: FoundShare, token: str, key: str | None) -> Response:
    """Tell what the link takes; what is there already is nobody's business."""
    if key not in (None, found.share.key):
        no_link()
    with on_behalf_of_maker(found):
        pass
    limit = found.bucket.size_limit
    largest = None if limit is None else limit.limit
    if wants_page():
        return page("upload.html", action=share_url(token), prefix=found.share.key, largest=largest)
    shown = {"prefix": found.share.key, "max_file_size": largest, "expires": found.share.expires.isoformat()}
    return Response(dumps(shown), mimetype="application/json")


def _for_upload(token: str, key: str | None) -> FoundShare:
    found = open_link(token, key)
    # Whose maker may give nothing any more is no link, whatever it was for.
    with on_behalf_of_maker(found):
        pass
    if found.share.kind != UPLOAD:
        raise MethodNotAllowed(["GET", "HEAD", "OPTIONS"])
    return found


def _ensure_unlocked(found: FoundShare) -> None:
    if found.bucket.locked:
        raise BucketLockedError()


def _ensure_new(found: FoundShare, key: str) -> None:
    """Refuse a key that exists before the body is read.

    :raises PreconditionFailed: If it exists, or a condition of the request does not hold.
    """
    _ensure_unlocked(found)
    _check_new(write_conditions(request), ObjectVersion.get(found.bucket, key))


def _check_new(conditions: Mapping[str, str], head: ObjectVersion | None) -> None:
    if head is not None:
        raise PreconditionFailed(description=_("There is a file of this name already, which a link does not replace."))
    check_write_conditions(conditions, head)


def _store(found: FoundShare, token: str, key: str, stream: Any, size: int | None = None) -> ObjectVersion:
    conditions = write_conditions(request)

    def precondition(head: ObjectVersion | None) -> None:
        # The link may have been revoked while the bytes came.
        if Share.find(token) is None:
            no_link()
        _check_new(conditions, head)

    return store_object(found.bucket, key, stream, size=size, precondition=precondition)


def _stored(version: ObjectVersion, token: str) -> Response:
    file = version.file
    if wants_page():
        return page("stored.html", status=201, key=version.key, action=share_url(token))
    shown = {"key": version.key, "size": file.size, "checksum": file.checksum}
    response = Response(dumps(shown), status=201, mimetype="application/json")
    response.set_etag(file.checksum)
    return response
