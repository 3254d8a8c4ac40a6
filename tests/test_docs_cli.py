"""The commands that the page on the command line shows print what it says."""

from __future__ import annotations

import contextvars
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from helpers.pages import DOCS, dialogue
from helpers.terminal import IDENTIFIER

from invenio_files_rest.cli import files
from invenio_files_rest.services.dispatch import PREFIX

CHANGING = rf"{IDENTIFIER}|\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d|\d+\.\d [GT]iB"
"""What is another one each time: identifiers, times, and what is free on a disk."""


@pytest.fixture
def schedule(app: Flask) -> Iterator[None]:
    """Schedule what the page shows."""
    conf = app.extensions["flask-celeryext"].celery.conf
    before = conf.beat_schedule
    name = PREFIX + "schedule_checksum_verification"
    conf.beat_schedule = {"checks": {"task": name, "schedule": timedelta(hours=1)}}
    yield
    conf.beat_schedule = before


def pattern(line: str) -> str:
    """Return what a documented line matches; columns may be as wide as their contents."""
    parts = re.split(f"({CHANGING})", re.sub(r" +", " ", line.strip()))
    return "".join(f"(?:{CHANGING})" if number % 2 else re.escape(part) for number, part in enumerate(parts))


def test_each_command_prints_what_is_documented(
    base_app: Flask, db: SQLAlchemy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: None
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis" / "figures").mkdir(parents=True)
    (tmp_path / "thesis" / "chapter1.pdf").write_bytes(bytes(2048))
    (tmp_path / "thesis" / "figures" / "1.png").write_bytes(bytes(1024))
    variables: dict[str, str] = {}
    for command, documented in dialogue("reference/cli"):
        given, name = "", None
        if found := re.fullmatch(r"(\w+)=\$\((.*)\)", command):
            name, command = found.groups()
        if found := re.fullmatch(r"printf '(.*)' \| (.*)", command):
            given, command = found.groups()
        for variable, value in variables.items():
            command = command.replace(f"${variable}", value)
        program, *arguments = shlex.split(command.replace("/var/lib", str(tmp_path)))
        assert program == "invenio"
        db.session.commit()
        invoke: Any = base_app.test_cli_runner().invoke
        result = contextvars.Context().run(invoke, args=arguments, input=given)
        if name:
            assert result.exit_code == 0, result.output
            variables[name] = result.stdout.strip()
            continue
        # The log of files is on standard error, too, where the settings ask for it.
        told = (line for line in result.output.splitlines() if not line.startswith('{"event"'))
        printed = [re.sub(r" +", " ", line.strip()) for line in told]
        expected = [pattern(line.replace("/var/lib", str(tmp_path))) for line in documented]
        while expected and not expected[-1]:
            expected.pop()
        assert len(printed) == len(expected), result.output
        for line, wanted in zip(printed, expected, strict=True):
            assert re.fullmatch(wanted, line), f"{command} prints {line!r}"


def commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


@pytest.mark.parametrize(("name", "command"), list(commands(files, "files")), ids=lambda value: str(value))
def test_every_command_and_each_of_its_options_is_documented(name: str, command: Any):
    pages = (DOCS / "reference/cli.rst").read_text() + (DOCS / "howto/operations.rst").read_text()
    heads = [line for line in pages.splitlines() if re.search(rf"``{name}\b", line) and not line.startswith(" ")]
    assert heads, f"{name} is not documented"
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert any(option in head for head in heads for option in [*parameter.opts, *parameter.secondary_opts]), (
                f"{parameter.opts} of {name} is not documented"
            )
