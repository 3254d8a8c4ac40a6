"""The code that the pages of the documentation show: what tests run, as it stands there."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.rst"))
"""Names of the pages, as ``:doc:`` has them."""

_BLOCK = re.compile(
    r"(?:^\.\. not run: (?P<reason>(?:.+\n)(?:   .+\n)*)\n)?"
    r"^(?:\.\. code-block:: (?P<language>\S+)\n(?P<options>(?:   :.*\n)*)|(?!\.\. )(?! ).*(?<!:)::\n)"
    r"\n(?P<code>(?:   .*\n|\n)+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    :param page: Name of the page.
    :param language: Its language; ``text`` where the page does not say.
    :param kind: Its class, which tells the blocks of a page apart, if it has one.
    :param code: The code.
    :param reason: Why nobody runs it, where the page says so in a comment before it.
    """

    page: str
    language: str
    kind: str | None
    code: str
    reason: str | None


def read(page: str) -> list[Block]:
    """Return all blocks of a page, in order.

    :param page: Name of a page; ``../README`` for a text that lies beside the documentation.
    """
    found = []
    for match in _BLOCK.finditer((DOCS / f"{page}.rst").read_text()):
        kind = re.search(r":class: (.*)", match["options"] or "")
        code = textwrap.dedent(match["code"]).strip("\n") + "\n"
        reason = " ".join(match["reason"].split()) if match["reason"] else None
        found.append(Block(page, match["language"] or "text", kind[1] if kind else None, code, reason))
    return found


def blocks(page: str, language: str, kind: str | None = None) -> list[str]:
    """Return the code of the blocks of a page, in order: those of a class alone, or those without one.

    Those that nobody runs are left out.
    """
    return [
        block.code for block in read(page) if (block.language, block.kind) == (language, kind) and block.reason is None
    ]


def dialogue(page: str, kind: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Return the commands of a page, each with what it prints; there ``...`` stands for lines that are left out."""
    lines = "".join(blocks(page, "console", kind)).splitlines()
    while lines:
        command = lines.pop(0)
        assert command.startswith("$ "), command
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0).lstrip()
        printed = []
        while lines and not lines[0].startswith("$ "):
            printed.append(lines.pop(0))
        yield command[2:], printed
