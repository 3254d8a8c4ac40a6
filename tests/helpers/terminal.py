"""A terminal in which the commands of a page are run, one after the other, and what they print is compared."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

DOCUMENTED_URL = "http://localhost:5000/api/files"
IDENTIFIER = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|\d{4}-\d\d-\d\d(?: [\d:]{8})?"
LEARNED = (IDENTIFIER, r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{4}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"links/[\w-]{32}")
"""What stands for something else in each run: identifiers, folders of files, and links for others."""
ANY = "|".join(LEARNED)


class Terminal:
    """A shell in which the commands of a page are run, whose identifiers stand for real ones.

    :param folder: Where it runs.
    :param url: Where the API is served.
    :param linked_url: Where its links say that it is served.
    :param environment: Variables that are set besides those of the tests.
    :param replaced: What stands for what is the reader's own, such as paths.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        linked_url: str,
        environment: dict[str, str] | None = None,
        replaced: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.url = url
        self.linked_url = linked_url
        self.replaced = replaced or {}
        self.identifiers: dict[str, str] = {}
        self.variables: dict[str, str] = {**os.environ, **(environment or {})}

    def real(self, text: str, url: str) -> str:
        """Return a text with the real identifiers, and another URL."""
        text = re.sub(ANY, lambda match: self.identifiers.get(match[0], match[0]), text)
        for documented, ours in {DOCUMENTED_URL: url, **self.replaced}.items():
            text = text.replace(documented, ours)
        return text

    def run(self, command: str, status: int = 0) -> list[str]:
        """Run a command, and return the lines that it prints.

        :param command: The command as the page has it.
        :param status: Its exit status.
        """
        command = self.real(command, self.url)
        assigned = re.match(r"(?:export )?(\w+)=", command)
        if assigned:
            command += f'; printf %s "${assigned[1]}"'
        result = subprocess.run(
            ["bash", "-c", re.sub(r"\bcurl ", "curl -sS ", command)],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if status else subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == status, f"{command}: {result.stdout}{result.stderr}"
        if assigned:
            self.variables[assigned[1]] = result.stdout
            return []
        return result.stdout.replace("\r", "").splitlines()

    def matches(self, documented: str, actual: str) -> bool:
        """Tell whether a line is as documented, and learn what its identifiers stand for."""
        pattern, new = "", []
        for token in re.split(f"({ANY}|{TIME})", documented):
            if re.fullmatch(TIME, token):
                pattern += f"(?:{TIME})"
            elif not re.fullmatch(ANY, token) or token in self.identifiers:
                pattern += re.escape(self.real(token, self.linked_url))
            elif token in new:
                pattern += f"\\{new.index(token) + 1}"
            else:
                new.append(token)
                pattern += f"({next(kind for kind in LEARNED if re.fullmatch(kind, token))})"
        match = re.fullmatch(pattern, actual)
        if match:
            self.identifiers.update(zip(new, match.groups(), strict=True))
        return match is not None

    def hold(self, dialogue: Iterable[tuple[str, list[str]]], failing: Iterable[str] = ()) -> None:
        """Run commands, and hold what they print against what is documented.

        :param dialogue: The commands, each with its lines, of which ``...`` stands for some that are left out.
        :param failing: Beginnings of those commands that end with the exit status 1.
        """
        for command, documented in dialogue:
            if any(line.startswith("Last-Modified:") for line in documented):
                # The date of a head that follows another within a second is told once it has come.
                time.sleep(2)
            printed = self.run(command, status=int(command.startswith(tuple(failing)) and bool(failing)))
            self._compare(command, documented, printed)

    def _compare(self, command: str, documented: list[str], printed: list[str]) -> None:
        left_out, actual, whole = False, iter(printed), "\n".join(printed)
        for line in documented:
            if line == "...":
                left_out = True
                continue
            for answer in actual:
                if self.matches(line, answer):
                    break
                assert left_out, f"{command}\nprints {answer!r}\nand not {line!r}; all of it:\n{whole}"
            else:
                pytest.fail(f"{command}\ndoes not print {line!r}, but:\n{whole}")
            left_out = False
