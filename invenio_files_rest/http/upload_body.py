"""From a request to a stream: where its file is, how long it says that is, and what it says of the bytes.

What finds the file is a factory of ``FILES_REST_UPLOAD_FACTORIES``, a function without arguments that returns the
stream, its length in bytes or ``None``, the ``Content-MD5`` or ``None``, and the tags, which may be left out. Where it
finds none it returns four times ``None``, raises ``MultipartNoPart``, or refuses the request's arguments with 422.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import IO, Any, NamedTuple
from urllib.parse import parse_qsl

from flask import abort, current_app, request
from webargs import fields
from werkzeug.datastructures import FileStorage
from werkzeug.http import parse_content_range_header

from ..errors import DuplicateTagError, InvalidTagError, MultipartNoPart
from ..limiters import FileSizeLimit
from ..messages import lazy_gettext as _
from ..proxies import current_files_rest
from ..services.validation import NonEmptyStream, minsize_validator, validate_tag
from ..storage.pump import VerifiedStream, check_sizelimit
from .arguments import FORM, WholeNumber, refuse_misspelt_fields, use_kwargs
from .bodies import request_body
from .streamed_form import FormFile, stream_form

_DIGEST = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;[^,]*)?")
_DIGEST_ALGORITHMS = {"md5": "md5", "sha-256": "sha256", "sha-512": "sha512"}

_NOTHING = (None, None, None, None)


class Upload(NamedTuple):
    """What a request uploads."""

    stream: Any
    """Object with ``read(n)``, which fails at its end where a digest does not match."""

    size: int | None
    """Size in bytes, where the request tells it."""

    tags: dict[str, str]
    """Tags."""


def read_upload(size_limit: FileSizeLimit | None) -> Upload:
    """Find the file in the request, and refuse what can be refused without reading it.

    :param size_limit: The tightest limit on the file.
    :raises FileSizeError: If the announced size is over a limit, or under ``FILES_REST_MIN_FILE_SIZE``.
    :raises InvalidTagError: If a tag is empty or too long.
    :raises DuplicateTagError: If a tag is given twice.
    :raises MultipartNoPart: If there is no file.
    :raises werkzeug.exceptions.BadRequest: If there is only a part of it, or a digest that cannot be read.
    """
    _refuse_fragment()
    stream, size, content_md5, tags = current_files_rest.upload_factory()
    if size is not None:
        minsize_validator(size)
        check_sizelimit(size_limit, size)
    else:
        stream = NonEmptyStream(stream)
    digests = read_digests(content_md5)
    return Upload(VerifiedStream(stream, digests) if digests else stream, size, tags or {})


def _refuse_fragment() -> None:
    """Refuse a body that says it is a part of the file, since it would take the place of the whole.

    :raises werkzeug.exceptions.BadRequest: If ``Content-Range`` says so (RFC 9110, section 14.5).
    """
    given = parse_content_range_header(request.headers.get("Content-Range"))
    if given is not None and (given.start != 0 or given.stop != given.length):
        abort(400, description=_("A PUT stores a whole file, not the range of it that Content-Range names."))


def read_digests(
    content_md5: str | None, headers: tuple[str, ...] = ("Content-Digest", "Repr-Digest")
) -> dict[str, bytes]:
    """Return the digests that the request gives of its body.

    They are ``Content-MD5`` (RFC 1864), ``Content-Digest`` and ``Repr-Digest`` (RFC 9530); of the latter two,
    algorithms that we do not know are passed over. In a form they are digests of the form, not of the file in it, and
    passed over as well.

    :param content_md5: Value of ``Content-MD5``.
    :param headers: Names of the headers with digests of the body.
    :returns: Raw digests, by the algorithms' names in :mod:`hashlib`.
    :raises werkzeug.exceptions.BadRequest: If one cannot be read, or two contradict each other.
    """
    found = []
    if content_md5:
        found.append(("md5", "Content-MD5", content_md5))
    for header in () if is_form(request.content_type) else headers:
        for member in filter(None, map(str.strip, request.headers.get(header, "").split(","))):
            match = _DIGEST.fullmatch(member)
            if match is None:
                abort(400, description=_("%(header)s is not a list of algorithm=:digest:.", header=header))
            if match[1] in _DIGEST_ALGORITHMS:
                found.append((_DIGEST_ALGORITHMS[match[1]], header, match[2]))
    digests: dict[str, bytes] = {}
    for algorithm, header, text in found:
        try:
            digest = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            abort(400, description=_("The digest in %(header)s is not in base64.", header=header))
        if digests.setdefault(algorithm, digest) != digest:
            abort(400, description=_("%(header)s contradicts another digest of the request.", header=header))
    return digests


def is_form(content_type: str | None) -> bool:
    """Tell whether a body is a form that has the file in a field.

    :param content_type: Value of ``Content-Type``, whose type has no case (RFC 9110, section 8.3.1).
    """
    return (content_type or "").lower().startswith("multipart/form-data")


@use_kwargs(
    {
        "content_md5": fields.String(data_key="Content-MD5", load_default=None),
        "content_length": WholeNumber(data_key="Content-Length", load_default=None),
        "content_type": fields.String(data_key="Content-Type", load_default=""),
    },
    location="headers",
)
def stream_uploadfactory(
    content_md5: str | None = None, content_length: int | None = None, content_type: str | None = None
) -> tuple[Any, int | None, str | None, dict[str, str] | None]:
    """Take the body as the file, unless it is ``multipart/form-data``.

    :param content_md5: Value of ``Content-MD5``.
    :param content_length: Value of ``Content-Length``, in bytes.
    :param content_type: Value of ``Content-Type``.
    :returns: The stream, its length in bytes or ``None``, the ``Content-MD5``, and the tags.
    """
    if is_form(content_type):
        return _NOTHING
    stream = request_body(request.environ)
    if stream is None:
        return _NOTHING
    return stream, content_length, content_md5, parse_header_tags()


@use_kwargs({"content_type": fields.String(data_key="Content-Type", load_default="")}, location="headers")
@use_kwargs(
    {
        "content_length": WholeNumber(data_key="_totalSize", load_default=None),
        "part_number": WholeNumber(data_key="_chunkNumber", load_default=None),
        "part_length": WholeNumber(data_key="_currentChunkSize", load_default=None),
    },
    location="form",
)
@use_kwargs({"uploaded_file": fields.Raw(data_key="file", load_default=None)}, location="files")
def ngfileupload_uploadfactory(
    content_length: int | None = None,
    content_type: str | None = None,
    uploaded_file: FileStorage | None = None,
    part_number: int | None = None,
    part_length: int | None = None,
) -> tuple[Any, int | None, str | None, dict[str, str] | None]:
    """Take the field ``file`` of a form as the file, as ng-file-upload sends it.

    It sends ``_totalSize`` only where it cuts the file into parts, so that a whole file is the first part and the last.

    :param content_length: Value of the field ``_totalSize``, in bytes.
    :param content_type: Value of the header ``Content-Type``.
    :param uploaded_file: The field ``file``.
    :param part_number: Value of the field ``_chunkNumber``.
    :param part_length: Value of the field ``_currentChunkSize``, in bytes.
    :returns: The stream, its length in bytes, no ``Content-MD5``, and the tags.
    :raises MultipartNoPart: If a form lacks one of the fields.
    :raises werkzeug.exceptions.BadRequest: If the form has a part of a larger file.
    """
    if not is_form(content_type):
        return _NOTHING
    refuse_misspelt_fields()
    if uploaded_file is None:
        raise MultipartNoPart(description=_("The form has no field named file."))
    if content_length is None:
        raise MultipartNoPart(
            description=_("The form has no field named _totalSize, which has to come before the file.")
        )
    if (part_number, part_length) not in ((None, None), (0, content_length)):
        abort(
            400, description=_("The fields _chunkNumber and _currentChunkSize are those of a part: it needs uploadId.")
        )
    return early_file(uploaded_file), content_length, None, parse_header_tags()


def early_file(uploaded_file: FileStorage) -> IO[bytes]:
    """Return the file of a form, which fails at its end where a field of ng-file-upload's comes after it.

    :param uploaded_file: The file.
    """
    if isinstance(uploaded_file.stream, FormFile):
        uploaded_file.stream.refuse_late(FORM)
    return uploaded_file.stream


class ChosenFile(NamedTuple):
    """The file of a form that a browser sends without a script."""

    name: str
    """Name that the file has where it comes from."""

    stream: Any
    """Object with ``read(n)``."""

    key: str
    """What to store it as; empty where the form does not say."""


def read_chosen_file() -> ChosenFile:
    """Find the file of a form with the fields ``key`` and then ``file``, whose length nothing announces.

    :raises MultipartNoPart: If there is none.
    """
    stream_form(request)
    file = request.files.get("file") if is_form(request.content_type) else None
    if file is None or not file.filename:
        raise MultipartNoPart(description=_("No file was chosen."))
    if isinstance(file.stream, FormFile):
        file.stream.refuse_late({"key"})
    return ChosenFile(file.filename, NonEmptyStream(file.stream), request.form.get("key", "").strip())


def parse_header_tags() -> dict[str, str]:
    """Return the tags that the header of ``FILES_REST_FILE_TAGS_HEADER`` sets, in UTF-8, percent-encoded or not.

    :raises InvalidTagError: If a tag is empty or too long, or not in UTF-8.
    :raises DuplicateTagError: If a tag is given twice.
    """
    header = request.headers.get(current_app.config["FILES_REST_FILE_TAGS_HEADER"], "")
    # WSGI has the bytes of a header as characters of Latin-1 (PEP 3333).
    return parse_tags(header.encode("latin-1"))


def parse_tags(text: bytes) -> dict[str, str]:
    """Return tags that are written as ``key1=value1&key2=value2``, in UTF-8, percent-encoded or not.

    :param text: The text.
    :raises InvalidTagError: If a tag is empty or too long, or not in UTF-8.
    :raises DuplicateTagError: If a tag is given twice.
    """
    tags: dict[str, str] = {}
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, errors="strict")
    except UnicodeError as error:
        raise InvalidTagError(description=_("Tags have to be in UTF-8, percent-encoded or not.")) from error
    for key, value in pairs:
        validate_tag(key, value)
        if key in tags:
            raise DuplicateTagError()
        tags[key] = value
    return tags
