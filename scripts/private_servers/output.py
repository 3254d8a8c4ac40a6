"""What the user is told while servers run."""

from __future__ import annotations

import sys


def say(message: str) -> None:
    """Tell the user something, on the standard error output: exports go to the other one."""
    print(message, file=sys.stderr, flush=True)
