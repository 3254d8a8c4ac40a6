"""Print a complete nginx configuration for run-server.sh, from the one that is deployed.

``nginx.py FOLDER LISTEN APPLICATION FILES``: a private folder for nginx's temporary files; the address and port to
listen on; the address of the application; the folder of the files location.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

DEPLOYED = Path(__file__).parents[2] / "deploy" / "nginx" / "files.conf"
KINDS = ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")


def quoted(path: str) -> str:
    """Quote a path for the configuration, in which a dollar sign cannot be escaped."""
    if "$" in path:
        sys.exit(f"nginx cannot serve files in {path}: there must be no $ in it.")
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def configuration(folder: str, listen: str, application: str, files: str) -> str:
    """Return the configuration; the arguments are those of the program."""
    server = re.sub(r"(    server app\d:\d+ .*;\n)+", f"    server {application};\n", DEPLOYED.read_text())
    for deployed, ours in {
        "listen 80;": f"listen {listen};",
        "alias /var/lib/files/;": f"alias {quoted(f'{files}/')};",
    }.items():
        server = server.replace(deployed, ours)
    paths = "\n".join(f"{kind}_temp_path {quoted(f'{folder}/{kind}')};" for kind in KINDS)
    # The files are readable only by the user who runs the server.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\npid {quoted(f'{folder}/nginx.pid')};\nerror_log stderr;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{paths}\n\n{server}}}\n"
    )


if __name__ == "__main__":
    print(configuration(*sys.argv[1:]))
