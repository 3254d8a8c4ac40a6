"""The worker of run-server.sh ends at Ctrl-C, whatever it is doing."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.timeout(20)
def test_a_signal_ends_it_while_its_thread_has_the_lock_of_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    config = pytest.importorskip("gunicorn.config", reason="the extra server is not installed")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts" / "server")
    kind = import_module("worker").Worker
    worker = kind.__new__(kind)
    worker.cfg = config.Config()
    with ThreadPoolExecutor() as worker.tpool, worker.tpool._shutdown_lock, pytest.raises(SystemExit):
        worker.handle_quit(signal.SIGINT, None)
