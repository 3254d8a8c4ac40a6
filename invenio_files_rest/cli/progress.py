"""The progress bar of long work, with its rate and the time left."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import click

from .output import size

_INTERVAL = 0.1
"""Seconds between two drawings."""

_WIDE = 100
"""Columns of a terminal that has room for a bar of the usual width beside its numbers."""


class Bar:
    """A progress bar on standard error. If that is not a terminal, nothing is shown.

    :param label: What is being done.
    :param length: Number of steps, if known.
    :param in_bytes: Whether a step is a byte.
    """

    def __init__(self, label: str, length: int | None = None, in_bytes: bool = False) -> None:
        """Start at 0."""
        self._length = length
        self._in_bytes = in_bytes
        self._done = self._waiting = self._bytes = 0
        self._started = self._drawn = time.monotonic()
        self._hidden = not sys.stderr.isatty()
        columns = shutil.get_terminal_size().columns
        self._bar: Any = click.progressbar(
            _unknown() if length is None else range(length),
            length=length,
            label=label,
            file=sys.stderr,
            hidden=self._hidden,
            show_eta=False,
            show_percent=False,
            item_show_func=lambda _: self.numbers(time.monotonic() - self._started),
            width=36 if columns >= _WIDE else max(1, (columns - len(label) - 5) // 4),
        )

    def __enter__(self) -> Bar:
        """Show the bar."""
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Show the end, and go on below it."""
        self._draw()
        self._bar.__exit__(kind, error, traceback)

    def advance(self, steps: int = 1, size: int = 0) -> None:
        """Note that steps have been done.

        :param steps: Number of steps.
        :param size: Number of bytes that were read or written for them, if a step is not a byte.
        """
        self._done += steps
        self._waiting += steps
        self._bytes += size
        if not self._hidden and time.monotonic() - self._drawn >= _INTERVAL:
            self._draw()

    def clear(self) -> None:
        """Make room for a line of output, where the terminal shows both."""
        if not self._hidden:
            click.echo("\r\033[K", nl=False, err=True, color=True)
            # So that it is drawn again though it has not changed.
            self._bar._last_line = None

    def _draw(self) -> None:
        if not self._hidden:
            if self._waiting:
                self._bar.update(self._waiting)
            else:
                self._bar.render_progress()
            self._waiting, self._drawn = 0, time.monotonic()

    def numbers(self, elapsed: float) -> str:
        """Write how much is done, how fast, and how long the rest takes.

        :param elapsed: Seconds since the beginning.
        """
        written = size if self._in_bytes else str
        parts = [written(self._done) if self._length is None else f"{written(self._done)}/{written(self._length)}"]
        if self._done and elapsed > 0:
            rate = self._done / elapsed
            parts.append(f"{size(int(rate)) if self._in_bytes else f'{rate:.1f}'}/s")
            if self._bytes:
                parts.append(f"{size(int(self._bytes / elapsed))}/s")
            if self._length is not None and self._done < self._length:
                parts.append(f"{_duration((self._length - self._done) / rate)} left")
        return "  ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _unknown() -> Iterator[None]:
    """Return what has no length that could be asked for."""
    yield None
