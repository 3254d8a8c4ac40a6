"""A form whose file is read as it comes: first what stands before the file, then the file, then what is left.

Whoever asks for the form gets the fields that come before its first file, and that file as a stream of the body, so
that nothing of it is kept. Where somebody needs more, a field that comes after the file, or to go back in the file, the
form is taken in whole, its files in temporary ones, as Werkzeug does with every form. Then its length is limited.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator
from typing import IO, Any, TypeVar

from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData
from werkzeug.wrappers import Request

from ..messages import lazy_gettext as _
from ..messages import lazy_ngettext
from .bodies import request_body
from .forms import FormDataParser
from .pacing import PIECE

T = TypeVar("T")

_MALFORMED = _("The form is malformed, or ended too early.")

_CHARSETS = frozenset({"ascii", "us-ascii", "utf-8", "iso-8859-1"})


class StreamedForm:
    """A form of ``multipart/form-data`` (RFC 7578), read up to its first file, or to its end where it has none.

    :param body: Body of the request.
    :param boundary: What stands between its fields.
    :param length: Length of the body in bytes; ``None`` where the request does not tell it.
    :param limit: Largest number of bytes of all that is not read as it comes; ``None`` for no limit.
    :param field_limit: Largest number of bytes of its fields together; ``None`` for no limit.
    :param max_parts: Largest number of its fields and files; ``None`` for no limit.
    :param new_file: Werkzeug's stream factory, for files of a form that is taken in whole.
    :raises werkzeug.exceptions.BadRequest: If it is malformed.
    :raises werkzeug.exceptions.RequestEntityTooLarge: If it is over a limit.
    """

    def __init__(
        self,
        body: IO[bytes],
        boundary: str,
        *,
        length: int | None,
        limit: int | None,
        field_limit: int | None,
        max_parts: int | None,
        new_file: Callable[..., IO[bytes]],
    ) -> None:
        """Read up to the first file."""
        self.fields: list[tuple[str, str]] = []
        self.files: list[tuple[str, FileStorage]] = []
        self.late: list[str] = []
        self.ended = False
        self.may_be_whole = limit is None or length is None or length <= limit
        self.limit = limit
        self._body, self._length, self._new_file = body, length, new_file
        self._field_limit = field_limit
        self._received = self._streamed = self._field_bytes = 0
        # It holds headers, and what is left of a piece: never less, for the decoder counts the piece itself.
        held = None if field_limit is None else max(field_limit, 4 * PIECE)
        self._decoder = MultipartDecoder(boundary.encode(), held, max_parts=max_parts)
        self._events = self._read_events()
        self._streaming = False
        if (head := self._next_file()) is not None:
            self._add_file(head, FormFile(self))

    def _read_events(self) -> Iterator[Event]:
        """Read the body to its end."""
        while True:
            try:
                event = self._decoder.next_event()
            except ValueError as error:
                raise BadRequest(_MALFORMED) from error
            if not isinstance(event, (NeedData, Epilogue)):
                if getattr(event, "name", "") is None:
                    # RFC 7578, section 4.2.
                    raise BadRequest(_("A field of the form has no name."))
                yield event
                continue
            # All that has been received has been seen: nothing of it is of a file that is still to be read.
            if not self._streaming:
                self._check()
            if isinstance(event, Epilogue):
                self.ended = True
                return
            data = self._body.read(PIECE)
            self._received += len(data)
            self._decoder.receive_data(data or None)

    def _check(self) -> None:
        """Check how much has been read besides a file that is read as it comes."""
        if self.limit is not None and self._received - self._streamed > self.limit:
            raise self.too_large()

    def too_large(self) -> RequestEntityTooLarge:
        """Return the error that there is too much besides a file that is read as it comes."""
        return RequestEntityTooLarge(
            lazy_ngettext(
                "Of a form no more than %(num)s byte is taken besides a file that comes after the fields that say "
                "what it is.",
                "Of a form no more than %(num)s bytes are taken besides a file that comes after the fields that say "
                "what it is.",
                self.limit or 0,
            )
        )

    def _next_file(self) -> File | None:
        """Read fields up to the next file, and return its head."""
        for event in self._events:
            if isinstance(event, File):
                return event
            if isinstance(event, Field):
                self.fields.append((event.name, self._read_field(event)))
        return None

    def _read_field(self, head: Field) -> str:
        value = b"".join(self.read_content())
        charset = parse_options_header(head.headers.get("Content-Type"))[1].get("charset", "").lower()
        return value.decode(charset if charset in _CHARSETS else "utf-8", "replace")

    def read_content(self, file: bool = False) -> Iterator[bytes]:
        """Read what a head stands before, piece by piece.

        :param file: Whether it is a file, whose bytes are no field's.
        """
        for event in self._events:
            assert isinstance(event, Data)
            if not file:
                self._field_bytes += len(event.data)
                if self._field_limit is not None and self._field_bytes > self._field_limit:
                    raise RequestEntityTooLarge(
                        lazy_ngettext(
                            "The fields of the form have more than %(num)s byte.",
                            "The fields of the form have more than %(num)s bytes.",
                            self._field_limit,
                        )
                    )
            yield event.data
            if not event.more_data:
                return

    def stream_content(self) -> Iterator[bytes]:
        """Read the file piece by piece, uncounted, and then the form to its end."""
        self._streaming = True
        for data in self.read_content(file=True):
            self._streamed += len(data)
            yield data
        self._streaming = False
        before = len(self.fields)
        while (head := self._next_file()) is not None:
            self.late.append(head.name)
            for _block in self.read_content(file=True):
                pass
        self.late += [name for name, _value in self.fields[before:]]

    def take_content(self, head: FileStorage | File) -> IO[bytes]:
        """Keep a file in a temporary one, from its beginning on.

        :param head: Its head.
        """
        kept = self._new_file(self._length, head.headers.get("Content-Type"), head.filename)
        try:
            for data in self.read_content(file=True):
                kept.write(data)
            kept.seek(0)
        except BaseException:
            kept.close()
            raise
        return kept

    def take_rest(self) -> None:
        """Keep all that comes after a file that has been taken."""
        while (head := self._next_file()) is not None:
            self._add_file(head, self.take_content(head))

    def _add_file(self, head: File, stream: Any) -> None:
        self.files.append((head.name, FileStorage(stream, head.filename, head.name, headers=head.headers)))


class FormFile(io.RawIOBase):
    """The file of a form, read as it comes.

    :param form: The form, which has been read up to the file.
    """

    def __init__(self, form: StreamedForm) -> None:
        """Keep the form."""
        self.form = form
        self._pieces: Iterator[bytes] | None = None
        self._piece = memoryview(b"")
        self._kept: IO[bytes] | None = None
        self._pos = 0
        self._too_late: frozenset[str] = frozenset()

    def refuse_late(self, names: Collection[str]) -> None:
        """Fail at the end where one of these fields comes after the file, too late to say what it is.

        :param names: The names, whose case does not matter.
        """
        self._too_late = frozenset(map(str.lower, names))

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell whether the file may be taken in whole, so that one can go back in it."""
        return self._kept is not None or (self._pieces is None and self.form.may_be_whole)

    def tell(self) -> int:
        """Return how many bytes have been read."""
        return self._pos if self._kept is None else self._kept.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to another place; for that the whole form is taken.

        :param offset: See :meth:`io.IOBase.seek`.
        :param whence: See :meth:`io.IOBase.seek`.
        :raises io.UnsupportedOperation: If some of the file has been read.
        :raises werkzeug.exceptions.RequestEntityTooLarge: If the form is too large.
        """
        self.take()
        assert self._kept is not None
        return self._kept.seek(offset, whence)

    def take(self) -> None:
        """Take the form in whole, so that there is nothing of it left to come.

        :raises io.UnsupportedOperation: If some of the file has been read.
        :raises werkzeug.exceptions.RequestEntityTooLarge: If the form is too large.
        """
        if self._kept is not None:
            return
        if self._pieces is not None:
            raise io.UnsupportedOperation("Some of the file has been read.")
        if not self.form.may_be_whole:
            raise self.form.too_large()
        self._pieces = iter(())
        self._kept = self.form.take_content(self.form.files[0][1])
        self.form.take_rest()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes.

        :param size: Largest number of bytes; negative, or ``None``, for all, which are held in memory then.
        :returns: The bytes, or only some; none at the end.
        :raises werkzeug.exceptions.BadRequest: If the form is malformed, or a field comes too late.
        :raises werkzeug.exceptions.RequestEntityTooLarge: If all are asked for, and are too many.
        """
        if size is None or size < 0:
            return self.readall()
        if self._kept is not None:
            return self._kept.read(size)
        if self._pieces is None:
            self._pieces = self.form.stream_content()
        while not self._piece and size:
            piece = next(self._pieces, None)
            if piece is None:
                self._check_end()
                return b""
            self._piece = memoryview(piece)
        data, self._piece = bytes(self._piece[:size]), self._piece[size:]
        self._pos += len(data)
        return data

    def readall(self) -> bytes:
        """Read all bytes into memory.

        :raises werkzeug.exceptions.RequestEntityTooLarge: If they are too many.
        """
        if self._kept is not None:
            return self._kept.read()
        read = bytearray()
        while piece := self.read(PIECE):
            read += piece
            if self.form.limit is not None and len(read) > self.form.limit:
                raise self.form.too_large()
        return bytes(read)

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer.

        :param buffer: The buffer.
        """
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Throw away what is kept."""
        if self._kept is not None:
            self._kept.close()
        super().close()

    def _check_end(self) -> None:
        if not self.form.ended:
            # An earlier read has failed.
            raise BadRequest(_MALFORMED)
        for name in self.form.late:
            if name.lower() in self._too_late:
                raise BadRequest(
                    _("The field %(name)s comes after the file, or twice: it has to come before the file.", name=name)
                )


class StreamingFormDataParser(FormDataParser):
    """Parser of forms whose file is read as it comes."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], Any, Any]:
        """Parse a form up to its first file.

        :param stream: Body of the request.
        :param mimetype: Its MIME type.
        :param content_length: Its length in bytes; ``None`` where the request does not tell it.
        :param options: Parameters of the MIME type, e.g. the boundary.
        :returns: The stream, the fields before the first file, and that file.
        :raises werkzeug.exceptions.BadRequest: If it is malformed.
        :raises werkzeug.exceptions.RequestEntityTooLarge: If there is too much before the file.
        """
        if mimetype != "multipart/form-data":
            return super().parse(stream, mimetype, content_length, options)
        boundary = (options or {}).get("boundary")
        if not boundary:
            raise BadRequest(_("The Content-Type of the form names no boundary."))
        form = StreamedForm(
            stream,
            boundary,
            length=content_length,
            limit=self.max_content_length,
            field_limit=self.max_form_memory_size,
            max_parts=self.max_form_parts,
            new_file=self.stream_factory,
        )
        return stream, self.cls(form.fields), self.cls(form.files)


def streaming_parser(request: Request) -> StreamingFormDataParser:
    """Return the parser for the form of a request.

    :param request: The request, of any class.
    """
    return StreamingFormDataParser(
        stream_factory=request._get_file_stream,
        max_form_memory_size=request.max_form_memory_size,
        max_content_length=request.max_content_length,
        max_form_parts=request.max_form_parts,
        cls=request.parameter_storage_class,
    )


def stream_form(request: Request) -> None:
    """Have the form of a request read as its file is, whatever its class, unless somebody has parsed it before.

    :param request: The request.
    """
    if "form" in vars(request) or request.mimetype != "multipart/form-data":
        return
    body = request_body(request.environ) or io.BytesIO()
    parsed = streaming_parser(request).parse(body, request.mimetype, request.content_length, request.mimetype_params)
    request.stream, request.form, request.files = parsed


def form_file(request: Request) -> FormFile | None:
    """Return the file of a request's form that is read as it comes, where there is one.

    :param request: The request.
    """
    streams = (file.stream for file in vars(request).get("files", {}).values())
    return next((stream for stream in streams if isinstance(stream, FormFile)), None)


def with_whole_form(request: Request, find: Callable[[], T]) -> T:
    """Return what a function finds in the form of a request: up to its first file, else in all of it.

    :param request: The request.
    :param find: The function. It is called again where it refuses the form, if there is more to come that is not too
        large to be taken in whole.
    """
    try:
        return find()
    except HTTPException:
        file = form_file(request) if request else None
        if file is None or file.tell() or not file.seekable():
            raise
        file.take()
        new: Any = request.parameter_storage_class
        request.form, request.files = new(file.form.fields), new(file.form.files)
        return find()
