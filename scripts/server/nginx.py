"""Print the documentation's configuration of nginx as a whole one, for a server that run-server.sh starts.

``nginx.py FOLDER LISTEN APPLICATION FILES``: a private folder for what nginx writes; address and port to listen on; the
URL of the application; the folder of the location that nginx sends files of.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCUMENTED = Path(__file__).parents[2] / "docs" / "nginx.conf"
KINDS = ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")


def quoted(path: str) -> str:
    """Write a path as nginx's configuration wants it, where a dollar cannot be told from a variable."""
    if "$" in path:
        sys.exit(f"nginx cannot serve files in {path}: there must be no $ in it.")
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def configuration(folder: str, listen: str, application: str, files: str) -> str:
    """Return the configuration; see the module."""
    server = DOCUMENTED.read_text()
    for documented, ours in {
        "listen 80;": f"listen {listen};",
        "http://127.0.0.1:5000;": f"{application};",
        "alias /var/lib/files/;": f"alias {quoted(f'{files}/')};",
    }.items():
        server = server.replace(documented, ours)
    paths = "\n".join(f"{kind}_temp_path {quoted(f'{folder}/{kind}')};" for kind in KINDS)
    # Whoever starts it owns the files, which nobody else may read.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\npid {quoted(f'{folder}/nginx.pid')};\nerror_log stderr;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{paths}\n\n{server}}}\n"
    )


if __name__ == "__main__":
    print(configuration(*sys.argv[1:]))
