"""The suite for a storage that can write a file piece by piece.

::

    class TestMyUploads(UploadsContract):
        @pytest.fixture
        def make_storage(self):
            return lambda name, size=None: MyStorage(f"my://bucket/{name}/data", size=size)

It needs pytest, but no database.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..checksums import new_digest
from ..errors import UnexpectedFileSizeError
from ..storage.uploads import ComeBetween, ExtentWrite, Uploads
from .base import Contract, MakeStorage
from .streams import MIB, BreakingStream, EndingStream, GeneratedStream


class UploadsContract(Contract):
    """Each test is one promise of :class:`~invenio_files_rest.storage.uploads.Uploads`."""

    @pytest.fixture
    def new_uploads(self, make_storage: MakeStorage) -> Iterator[Callable[[], Uploads]]:
        """Return a function that makes the capability anew for one file, as another process would; remove the file."""

        def make() -> Uploads:
            uploads = make_storage("file").capability(Uploads)
            assert uploads is not None
            return uploads

        yield make
        make_storage("file").delete()

    @pytest.fixture
    def uploads(self, new_uploads: Callable[[], Uploads]) -> Uploads:
        """Make the capability."""
        return new_uploads()

    @staticmethod
    def put(uploads: Uploads, state: Any, number: int, offset: int | None, content: bytes, **kwargs: Any) -> Any:
        """Write an extent, with state and receipt as JSON, as in a database."""
        stored_state, extent = json.loads(json.dumps(state)), ExtentWrite(number, offset, **kwargs)
        receipt = uploads.write(stored_state, extent, io.BytesIO(content))
        return json.loads(json.dumps(receipt))

    def test_nobody_sees_an_upload_before_it_is_finished(self, uploads: Uploads, make_storage: MakeStorage) -> None:
        """Neither empty nor in part."""
        state = uploads.begin(4)
        self.put(uploads, state, 1, 0, b"0123", size=4)
        with pytest.raises(FileNotFoundError):
            make_storage("file").open(mode="rb")
        uploads.abort(state)

    @pytest.mark.parametrize("sizes", [[1], [4, 4, 2], [4, 1, 4], [1, 2, 3, 4], [MIB, MIB, 3], [3 * MIB, 5], [0, 3, 0]])
    @pytest.mark.parametrize("offsets", ["known", "unknown", "equal"])
    def test_extents_in_any_order_become_the_file(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage, sizes: list[int], offsets: str
    ) -> None:
        """Whether their offsets were known or not."""
        content = bytes(range(251)) * (sum(sizes) // 251 + 1)
        content = content[: sum(sizes)]
        begins = [sum(sizes[:number]) for number in range(len(sizes))]
        guesses: dict[str, Any] = {
            "known": begins,
            "unknown": [None] * len(sizes),
            "equal": [n * sizes[0] for n in range(len(sizes))],
        }
        if offsets == "equal" and max(sizes) > sizes[0]:
            guesses["equal"] = [None if sizes[n] > sizes[0] else n * sizes[0] for n in range(len(sizes))]
        state = new_uploads().begin()
        receipts = {}
        for number in sorted(range(len(sizes)), key=lambda number: (number * 7) % 5):
            part = content[begins[number] :][: sizes[number]]
            receipts[number] = self.put(
                new_uploads(), state, number, guesses[offsets][number], part, size=sizes[number]
            )
            assert receipts[number]["size"] == sizes[number]
        uri, size, checksum = new_uploads().finish(state, [receipts[number] for number in range(len(sizes))])
        storage = make_storage("file", size=size)
        assert (uri, size) == (state["uri"], sum(sizes))
        assert self.content(storage) == content
        assert checksum == storage.checksum()

    def test_the_file_is_made_of_the_extents_that_are_named(self, uploads: Uploads, make_storage: MakeStorage) -> None:
        """Other extents are left out, wherever they were written."""
        state = uploads.begin()
        receipts = [self.put(uploads, state, n, n * 4, bytes([65 + n]) * 4, size=4) for n in range(4)]
        assert uploads.finish(state, [receipts[0], receipts[3]]).size == 8
        assert self.content(make_storage("file")) == b"AAAADDDD"

    def test_an_upload_of_nothing_is_an_empty_file(self, uploads: Uploads, make_storage: MakeStorage) -> None:
        """It exists."""
        state = uploads.begin(0)
        assert uploads.finish(state, []).size == 0
        assert self.content(make_storage("file")) == b""

    def test_a_finished_upload_is_finished_again(self, new_uploads: Callable[[], Uploads]) -> None:
        """As by a task that runs twice."""
        state = new_uploads().begin()
        receipts = [self.put(new_uploads(), state, n, None, b"some", size=4) for n in range(3)]
        assert new_uploads().finish(state, receipts) == new_uploads().finish(state, receipts)

    def test_two_that_finish_at_once_make_one_file(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """All of them return it."""
        state = new_uploads().begin()
        receipts = [self.put(new_uploads(), state, n, None, bytes([n]) * 100_000) for n in range(10)]
        found: list[Any] = []
        threads = [
            threading.Thread(target=lambda: found.append(new_uploads().finish(state, receipts))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1
        assert self.content(make_storage("file")) == b"".join(bytes([n]) * 100_000 for n in range(10))

    def test_a_checksum_that_is_known_is_taken(self, uploads: Uploads) -> None:
        """Nothing is read for it."""
        state = uploads.begin()
        receipt = self.put(uploads, state, 0, 0, b"0123")
        assert uploads.finish(state, [receipt], checksum="md5:known").checksum == "md5:known"

    def test_the_bytes_of_an_extent_are_hashed_while_they_come(self, uploads: Uploads) -> None:
        """With whatever digest is given."""
        state, digest = uploads.begin(), new_digest("sha256")
        self.put(uploads, state, 1, None, b"content", digest=digest)
        assert digest.hexdigest() == hashlib.sha256(b"content").hexdigest()
        uploads.abort(state)

    def test_a_run_grows_epoch_by_epoch(self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage) -> None:
        """Each continues where the one before has ended."""
        state, content = new_uploads().begin(), b""
        receipt: Any = None
        for epoch, data in enumerate([b"0123", b"", b"4", b"56789" * 100_000], start=1):
            receipt = self.put(new_uploads(), state, 0, len(content), data, epoch=epoch, receipt=receipt)
            content += data
            assert receipt["size"] == len(content)
        assert new_uploads().finish(state, [receipt]).size == len(content)
        assert self.content(make_storage("file")) == content

    def test_what_came_of_a_run_that_breaks_is_kept(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """Although the writer could not report how much it was."""
        state = new_uploads().begin()
        first = self.put(new_uploads(), state, 0, 0, b"0123", whole=False)
        uploads = new_uploads()
        # Written, and not told.
        uploads.write(state, ExtentWrite(0, 4, epoch=2, receipt=first, whole=False), EndingStream(b"4567"))
        kept = new_uploads().kept(state, 0, first, epoch=2)
        assert kept["size"] == 8
        assert new_uploads().kept(state, 0, kept, epoch=2) == kept
        last = self.put(new_uploads(), state, 0, 8, b"89", epoch=3, receipt=kept)
        new_uploads().finish(state, [last])
        assert self.content(make_storage("file")) == b"0123456789"

    def test_a_run_goes_on_in_one_epoch_where_the_storage_allows_it(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """What came of it is found whatever epoch is told."""
        state, content = new_uploads().begin(), b""
        if not new_uploads().continues(state):
            pytest.skip("Each epoch of this storage has a place of its own.")
        receipt: Any = None
        for data in (b"0123", b"4", b"56789" * 100_000):
            again = {"receipt": receipt, "goes_on": receipt is not None}
            receipt = self.put(new_uploads(), state, 0, len(content), data, whole=False, **again)
            content += data
            assert receipt["size"] == len(content)
            # Who only looks does not come between.
            new_uploads().kept(state, 0, receipt, epoch=1)
        unrecorded = ExtentWrite(0, len(content), receipt=receipt, whole=False)
        new_uploads().write(state, unrecorded, EndingStream(b"more"))
        kept = new_uploads().kept(state, 0, receipt, epoch=7)
        assert kept["size"] == len(content) + 4
        new_uploads().finish(state, [kept])
        assert self.content(make_storage("file")) == content + b"more"

    @pytest.mark.parametrize("writes", [False, True])
    def test_who_goes_on_in_an_epoch_is_told_that_somebody_has_come_between(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage, writes: bool
    ) -> None:
        """Who wrote more, or took it over and has not written yet."""
        state = new_uploads().begin()
        if not new_uploads().continues(state):
            pytest.skip("Each epoch of this storage has a place of its own.")
        first = self.put(new_uploads(), state, 0, 0, b"0123", whole=False)
        between = new_uploads().kept(state, 0, first, epoch=1, takes_over=True)
        if writes:
            between = self.put(new_uploads(), state, 0, 4, b"45", epoch=2, receipt=between)
        with pytest.raises(ComeBetween):
            self.put(new_uploads(), state, 0, 4, b"late", receipt=first, goes_on=True)
        new_uploads().finish(state, [between])
        assert self.content(make_storage("file")) == (b"012345" if writes else b"0123")

    def test_nothing_stays_of_what_has_to_be_whole_and_breaks(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """A run is as long as before."""
        state = new_uploads().begin()
        first = self.put(new_uploads(), state, 0, 0, b"0123")
        with pytest.raises(ConnectionResetError):
            new_uploads().write(state, ExtentWrite(0, 4, epoch=2, receipt=first), BreakingStream(b"wrong" * MIB))
        assert new_uploads().kept(state, 0, first, epoch=2)["size"] == 4
        last = self.put(new_uploads(), state, 0, 4, b"45", epoch=3, receipt=first)
        new_uploads().finish(state, [last])
        assert self.content(make_storage("file")) == b"012345"

    def test_what_nobody_has_recorded_may_be_written_over(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """However long it was."""
        state = new_uploads().begin()
        first = self.put(new_uploads(), state, 0, 0, b"0123")
        self.put(new_uploads(), state, 0, 4, b"lost and longer", epoch=2, receipt=first, whole=False)
        last = self.put(new_uploads(), state, 0, 4, b"45", epoch=3, receipt=first)
        new_uploads().finish(state, [last])
        assert self.content(make_storage("file")) == b"012345"

    def test_progress_of_a_run_is_saved_while_it_comes(
        self, new_uploads: Callable[[], Uploads], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the calling thread, and only if the storage knows what is durable."""
        monkeypatch.setattr("invenio_files_rest.storage.part_files.SAVE_SECONDS", 0)
        told: list[Any] = []
        state = new_uploads().begin()

        def save(receipt: Any) -> None:
            assert threading.current_thread() is threading.main_thread()
            told.append(receipt)

        new_uploads().write(state, ExtentWrite(0, 0, whole=False, saved=save), GeneratedStream(4 * MIB))
        sizes = [receipt["size"] for receipt in told]
        assert sizes == sorted(sizes)
        for receipt in told:
            assert 0 < receipt["size"] <= 4 * MIB
        new_uploads().abort(state)

    @pytest.mark.parametrize("size", [3, 5])
    @pytest.mark.parametrize("offset", [None, 4])
    def test_an_extent_of_another_size_is_refused_and_the_others_stay(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage, size: int, offset: int | None
    ) -> None:
        """It can be sent again."""
        state = new_uploads().begin()
        first = self.put(new_uploads(), state, 1, 0, b"0123", size=4)
        with pytest.raises(UnexpectedFileSizeError):
            self.put(new_uploads(), state, 2, offset, b"4567", size=size)
        second = self.put(new_uploads(), state, 2, offset, b"4567", size=4, epoch=2)
        new_uploads().finish(state, [first, second])
        assert self.content(make_storage("file")) == b"01234567"

    def test_an_extent_is_replaced(self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage) -> None:
        """The old one stays until it is dropped."""
        state = new_uploads().begin()
        old = self.put(new_uploads(), state, 1, 0, b"old!", size=4)
        other = self.put(new_uploads(), state, 2, 4, b"4567", size=4)
        new = self.put(new_uploads(), state, 1, None, b"newer", size=5, epoch=2)
        newest = self.put(new_uploads(), state, 1, None, b"new", size=3, epoch=3)
        new_uploads().drop(state, old)
        new_uploads().drop(state, new)
        new_uploads().finish(state, [newest, other])
        assert self.content(make_storage("file")) == b"new4567"

    def test_who_is_not_admitted_writes_nothing(self, uploads: Uploads) -> None:
        """Nor is anything read from the stream."""

        def refuse(clear: Any) -> None:
            raise PermissionError("Not now.")

        state, stream = uploads.begin(), io.BytesIO(b"0123")
        for offset in (None, 0):
            with pytest.raises(PermissionError, match="Not now"):
                uploads.write(state, ExtentWrite(1, offset, ready=refuse), stream)
        assert stream.tell() == 0
        uploads.abort(state)

    def test_nothing_stays_of_an_upload_that_is_aborted(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """It can be aborted again, but not written to."""
        state = new_uploads().begin()
        receipt = self.put(new_uploads(), state, 1, 0, b"0123", size=4)
        self.put(new_uploads(), state, 2, None, b"4")
        new_uploads().abort(state)
        new_uploads().abort(state)
        for offset in (None, 4):
            with pytest.raises(FileNotFoundError):
                self.put(new_uploads(), state, 3, offset, b"5678", size=4)
        with pytest.raises(FileNotFoundError):
            new_uploads().kept(state, 1, receipt, epoch=1)
        with pytest.raises(FileNotFoundError):
            new_uploads().finish(state, [receipt])
        with pytest.raises(FileNotFoundError):
            make_storage("file").open(mode="rb")

    def test_a_finished_file_is_written_no_more(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """Its extents are gone."""
        state = new_uploads().begin()
        receipt = self.put(new_uploads(), state, 0, 0, b"0123")
        new_uploads().finish(state, [receipt])
        with pytest.raises(FileNotFoundError):
            new_uploads().kept(state, 0, receipt, epoch=1)
        assert self.content(make_storage("file")) == b"0123"

    def test_a_finished_file_can_be_aborted_too(
        self, new_uploads: Callable[[], Uploads], make_storage: MakeStorage
    ) -> None:
        """If it is not wanted any more."""
        state = new_uploads().begin()
        new_uploads().finish(state, [self.put(new_uploads(), state, 0, 0, b"0123")])
        new_uploads().abort(state)
        with pytest.raises(FileNotFoundError):
            make_storage("file").open(mode="rb")

    def test_memory_is_bounded_whatever_the_size_of_an_upload(self, uploads: Uploads) -> None:
        """An upload of 64 MiB takes less than 24 MiB of memory."""
        tracemalloc.start()
        try:
            state = uploads.begin()
            receipts = [
                uploads.write(state, ExtentWrite(1), GeneratedStream(32 * MIB)),
                uploads.write(state, ExtentWrite(2, 0, size=32 * MIB), GeneratedStream(32 * MIB)),
            ]
            assert uploads.finish(state, receipts).size == 64 * MIB
            assert tracemalloc.get_traced_memory()[1] < 24 * MIB
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("order", [[0], [0, 1], [1, 0, 1]])
    def test_extents_of_several_uploads_become_one_file(
        self, uploads: Uploads, make_storage: MakeStorage, order: list[int]
    ) -> None:
        """In the order in which they are named, and as often; the others keep what they have."""
        if not uploads.joins:
            pytest.skip("This storage cannot.")
        contents = [b"0123456789" * 1000, b"abc" * 100_000]
        others, states, receipts = [], [], []
        for number, content in enumerate(contents):
            other: Any = make_storage(f"other{number}").capability(Uploads)
            others.append(other)
            states.append(other.begin(len(content)))
            receipts.append(self.put(other, states[-1], 0, 0, content, whole=False))
        state, expected = uploads.begin(), b"".join(contents[number] for number in order)
        wanted = [receipts[number] for number in order]
        assert uploads.to_read(state, wanted, None) == len(expected)
        for _ in range(2):
            # Who did it and was killed before anybody knew does it again.
            found = uploads.finish(state, wanted, sources=[others[number] for number in order])
            assert (found.size, found.checksum) == (len(expected), f"md5:{hashlib.md5(expected).hexdigest()}")
            assert self.content(make_storage("file")) == expected
        for other, other_state, receipt, content in zip(others, states, receipts, contents, strict=True):
            assert other.kept(other_state, 0, receipt, epoch=1)["size"] == len(content)
            other.abort(other_state)
