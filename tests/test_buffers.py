"""Streams hold nothing of a buffer that they filled, whatever keeps their frames: from 3.15 on, Python resizes it."""

from __future__ import annotations

import io
import sys
from types import FrameType
from typing import Any

import pytest

from invenio_files_rest.http.bodies import request_body
from invenio_files_rest.storage.s3.positions import Positioned

SIZE = 1000


class Received(io.RawIOBase):
    """What a server gives, with the frames of those who read it, as tracebacks and profilers keep them."""

    def __init__(self, frames: list[FrameType]) -> None:
        self.frames = frames

    def readinto(self, buffer: Any) -> int:
        self.frames.append(sys._getframe())
        buffer[:SIZE] = bytes(SIZE)
        return SIZE


class Placed(Positioned):
    """A file whose reads leave their frames."""

    def __init__(self, frames: list[FrameType]) -> None:
        super().__init__()
        self.size, self.frames = SIZE, frames

    def fill(self, view: memoryview) -> int:
        self.frames.append(sys._getframe())
        view[:SIZE] = bytes(SIZE)
        return SIZE


def body(frames: list[FrameType]) -> Any:
    return request_body({"wsgi.input": Received(frames), "CONTENT_LENGTH": str(SIZE)})


@pytest.mark.parametrize("opened", [body, Placed])
def test_a_buffer_that_was_read_into_can_be_resized(app: Any, opened: Any) -> None:
    frames: list[FrameType] = []
    buffer = bytearray(2 * SIZE)
    with app.test_request_context():
        assert opened(frames).readinto(buffer) == SIZE
        del buffer[SIZE:]
        assert opened(frames).read(2 * SIZE) == bytes(buffer) == bytes(SIZE)
    assert len(frames) == 2
