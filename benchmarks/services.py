"""The database server that the benchmarks run on."""

from __future__ import annotations

import os
import sys

from . import ROOT


def with_postgresql(module: str) -> None:
    """Run a module again, with a PostgreSQL server of its own, unless ``TEST_POSTGRESQL_URL`` names one.

    :param module: Name of the module that is run as a program.
    """
    if os.environ.get("TEST_POSTGRESQL_URL"):
        return
    services = str(ROOT / "scripts" / "services.py")
    command = [sys.executable, "-m", module, *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, services, "--install", "--durable", *command])
