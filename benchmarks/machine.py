"""The machine that the numbers are of."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path


def _command(*command: str) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip()


def describe(folder: Path) -> dict[str, str]:
    """Return what matters of the machine.

    :param folder: Folder that the files are in.
    """
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    disk = _command("df", "--output=source,fstype", str(folder)).splitlines()[-1].split()
    return {
        "CPU": f"{cpu[1].strip() if cpu else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{int(memory[1]) / 1024**2:.0f} GiB" if memory else "unknown",
        "disk": f"{disk[0]}, {disk[1]}",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "gunicorn": version("gunicorn"),
        "PostgreSQL": _postgresql(),
        "nginx": _command("nginx", "-v").rpartition("/")[2],
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _postgresql() -> str:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or [Path("postgres")]
    return _command(str(found[-1]), "--version").rpartition(") ")[2].split(" ")[0]
