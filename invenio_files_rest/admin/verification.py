"""Verification of files in the background: by workers, or where there is no broker in a thread of this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from celery import current_app as current_celery_app
from flask import Flask, current_app
from kombu.exceptions import OperationalError

from ..messages import lazy_gettext as _
from ..messages import lazy_ngettext, translated
from ..services.finding import Finding
from ..services.fixity import verify_file
from ..tasks import verify_checksum

_MOST_FINDINGS = 20
"""Number of findings that are kept to be shown."""


def verify_in_background(file_ids: Iterable[str]) -> None:
    """Have files verified. The outcome is noted in their rows.

    :param file_ids: Identifiers of the files.
    """
    waiting = deque(file_ids)
    if not current_celery_app.conf.task_always_eager:
        with suppress(OperationalError):
            while waiting:
                verify_checksum.delay(waiting[0])
                waiting.popleft()
    if waiting:
        verification.add(current_app._get_current_object(), waiting)  # type: ignore[attr-defined]


class Verification:
    """What this process verifies, one file after another, and what it has found since it had nothing to do.

    What it has not begun when the process ends is not verified.
    """

    def __init__(self) -> None:
        """Have nothing to do."""
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._thread: threading.Thread | None = None
        self.total = self.done = 0
        self.findings: list[Finding] = []

    def add(self, app: Flask, file_ids: Iterable[str]) -> None:
        """Verify files.

        :param app: The application that they are of.
        :param file_ids: Identifiers of the files.
        """
        with self._lock:
            if self._thread is None:
                self.total = self.done = 0
                self.findings = []
            before = len(self._waiting)
            self._waiting.extend(file_ids)
            self.total += len(self._waiting) - before
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(app,), name="verification", daemon=True)
                self._thread.start()

    def _next(self) -> str | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._thread = None
            return None

    def _run(self, app: Flask) -> None:
        while (file_id := self._next()) is not None:
            try:
                with app.app_context():
                    finding = verify_file(file_id)
            except Exception:
                app.logger.exception("The file %s could not be verified.", file_id)
                finding = Finding("unreadable", file_id, _("The file could not be verified."))
            with self._lock:
                self.done += 1
                if finding is not None and len(self.findings) < _MOST_FINDINGS:
                    self.findings.append(finding)

    @property
    def summary(self) -> str:
        """How far it is, in words."""
        if self.done < self.total:
            so_far = lazy_ngettext(
                "Verified %(done)s of %(num)s file so far.",
                "Verified %(done)s of %(num)s files so far.",
                self.total,
                done=self.done,
            )
            return translated(so_far)
        text = translated(lazy_ngettext("Verified %(num)s file.", "Verified %(num)s files.", self.total))
        if self.findings or not self.done:
            return text
        fine = translated(_("Nothing is wrong."))
        return f"{text} {fine}"


verification = Verification()
"""That of this process."""
