"""What starts processes again that have ended, as systemd and Docker do."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from crash.machine import descendants, kill, runs

RESTART_SECONDS = 0.5
STOP_SECONDS = 90


class Supervisor:
    """Keeps processes running: whichever ends is started again, and what it has left is killed before.

    :param restarting: Whether to begin with that at once.
    """

    def __init__(self) -> None:
        """Begin with no process."""
        self.starts: dict[str, Callable[[], int]] = {}
        self.pids: dict[str, int] = {}
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._watch = threading.Thread(target=self._restart, daemon=True)
        self._watch.start()

    def add(self, name: str, start: Callable[[], int], pid: int | None = None) -> None:
        """Run a process.

        :param start: What starts it, and returns its identifier.
        :param pid: Its identifier, where it runs already.
        """
        with self._lock:
            self.starts[name] = start
            self.pids[name] = pid or start()

    def _restart(self) -> None:
        while not self._ending.wait(0.05):
            with self._lock:
                ended = [name for name, pid in self.pids.items() if not runs(pid)]
            if not ended:
                continue
            time.sleep(RESTART_SECONDS)
            with self._lock:
                for name in ended:
                    # Somebody may have stopped it meanwhile.
                    if name in self.pids and not self._ending.is_set():
                        bury(self.pids[name])
                        self.pids[name] = self.starts[name]()

    def kill(self, name: str) -> None:
        """Kill a process and all that it has started, at once."""
        kill(self.pids[name])

    def kill_child(self, name: str, choose: Callable[[list[int]], int]) -> None:
        """Kill one of the processes that a process has started, if there are any."""
        children = descendants(self.pids[name])[1:]
        if children:
            with suppress(ProcessLookupError):
                os.kill(choose(children), signal.SIGKILL)

    def stop(self, *names: str, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask processes to end, and wait for them.

        :returns: Seconds that it took.
        """
        with self._lock:
            pids = [self.pids.pop(name) for name in names if name in self.pids]
        begun = time.monotonic()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while any(map(runs, pids)):
            assert time.monotonic() < begun + STOP_SECONDS, f"{names} did not end."
            time.sleep(0.02)
        took = time.monotonic() - begun
        for pid in pids:
            bury(pid)
        return took

    def start(self, *names: str) -> None:
        """Start processes that were stopped."""
        with self._lock:
            for name in names:
                self.pids.setdefault(name, 0)
                self.pids[name] = self.starts[name]()

    def end(self) -> None:
        """Kill all of them."""
        self._ending.set()
        self._watch.join()
        for pid in reversed(self.pids.values()):
            kill(pid)
            bury(pid)
        self.pids = {}


def bury(pid: int) -> None:
    """Let a child that has ended go."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def spawn(command: list[str], env: dict[str, str], log: str, cwd: str) -> int:
    """Start a process in a session of its own, and return its identifier."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    # It is waited for by whoever watches it.
    process.returncode = 0
    return process.pid
