"""What ``deploy/`` says is to run: the commands of the units of systemd and of the services of compose."""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = DEPLOY / "systemd"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())

SAME = {
    **{f"app{number}": ("invenio-files-server@.service", f"500{number}") for number in (1, 2, 3)},
    **{f"worker{number}": ("invenio-files-worker@.service", str(number)) for number in (1, 2)},
    "beat": ("invenio-files-beat.service", ""),
    "setup": ("invenio-files-setup.service", ""),
    "web": ("nginx.service.d/invenio-files.conf", ""),
}
"""The services of compose, and the units that are the same, with the names of their instances."""


def directives(path: Path) -> dict[str, list[str]]:
    """Return what a unit says, by directive; an empty value takes back what was said before."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name] = [*found[name], value] if value else []
    return found


def unit(name: str, instance: str = "") -> dict[str, list[str]]:
    """Return what a unit says, with what all of ours have, and with its specifiers replaced.

    :param name: Name of its file.
    :param instance: Name of its instance.
    """
    said = directives(UNITS / name)
    if name.startswith("invenio-files-"):
        for directive, values in directives(UNITS / "invenio-files-.service.d" / "common.conf").items():
            said[directive] = [*values, *said[directive]]
    return {
        directive: [value.replace("%%", "\0").replace("%i", instance).replace("\0", "%") for value in values]
        for directive, values in said.items()
    }


def unit_command(name: str, instance: str = "") -> list[str]:
    """Return the program and the arguments of a unit."""
    (line,) = unit(name, instance)["ExecStart"]
    return shlex.split(line)


def unit_environment(name: str, instance: str = "") -> dict[str, str]:
    """Return the variables that a unit sets itself."""
    assignments = [word for line in unit(name, instance)["Environment"] for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in assignments)


def compose_command(service: str) -> list[str]:
    """Return the program and the arguments of a service of compose."""
    return [str(word) for word in COMPOSE["services"][service]["command"]]


def seconds(time: str) -> int:
    """Return a span of time as systemd and compose write it."""
    number = int(time.rstrip("hmins"))
    return number * {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[time.lstrip("0123456789")]
