"""The least that storing a body takes: from a socket to a hash to a file, which is synchronised with the disk.

``floor.py PORT FOLDER`` answers one ``PUT`` after another.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys

BLOCK = 1024 * 1024


def serve(connection: socket.socket, folder: str) -> None:
    """Answer the requests of a connection."""
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    while True:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(BLOCK)
            if not data:
                return
            head += data
        head, body = head.split(b"\r\n\r\n", 1)
        left = int(re.search(rb"content-length: *(\d+)", head.lower())[1])  # type: ignore[index]
        digest = hashlib.md5(body, usedforsecurity=False)
        path = os.path.join(folder, "floor")
        with open(f"{path}.new", "wb", buffering=0) as file:
            file.write(body)
            left -= len(body)
            while left:
                size = connection.recv_into(view, min(left, BLOCK))
                digest.update(view[:size])
                file.write(view[:size])
                left -= size
            os.fsync(file.fileno())
        os.rename(f"{path}.new", path)
        answer = digest.hexdigest().encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))


def main() -> None:
    """Serve for ever."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                serve(connection, sys.argv[2])


if __name__ == "__main__":
    main()
