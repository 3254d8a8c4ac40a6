"""What archives are measured beside: the same files, sent by zipstream-ng, and by a loop that only reads them.

``BENCHMARK_FILES`` names a file in JSON: the names in the archive and the paths of the files, and their size together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

BLOCK = 1024 * 1024


LISTED = json.loads(Path(os.environ["BENCHMARK_FILES"]).read_text())


def _read() -> Iterator[bytes]:
    for _, path in LISTED["files"]:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                yield block


def read() -> tuple[Iterable[bytes], int]:
    """Read all files, one after the other; return them, and how long they are together in bytes."""
    return _read(), LISTED["size"]


def zipped() -> tuple[Iterable[bytes], int]:
    """Make a ZIP of all files, without compression; return it, and its length in bytes."""
    from zipstream import ZIP_STORED, ZipStream

    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    for name, path in LISTED["files"]:
        archive.add_path(path, name)
    return archive, len(archive)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request."""
    way = {"/read": read, "/zipped": zipped}.get(environ["PATH_INFO"])
    body, length = way() if way else ([], 0)
    headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))]
    start_response("200 OK" if way else "404 Not Found", headers)
    return body
