"""A client of tus and of the IETF draft for tests, which says just what it is told to say."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

TYPE = "application/offset+octet-stream"


def metadata(**pairs: str | bytes) -> str:
    """Return the value of ``Upload-Metadata``."""
    raw = {name: value.encode() if isinstance(value, str) else value for name, value in pairs.items()}
    return ",".join(f"{name} {base64.b64encode(value).decode()}".strip() for name, value in raw.items())


def local(url: str) -> str:
    """Return a URL without its host."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class TusClient:
    """A client of tus.

    :param client: The client of the application.
    :param bucket: The bucket.
    :param url: URL of the bucket, where it is another one.
    """

    def __init__(self, client: FlaskClient, bucket: Any, url: str | None = None) -> None:
        """Keep the bucket."""
        self.client = client
        self.url = url or f"/files/{bucket.id}"

    def send(self, method: str, url: str, headers: Any = (), **kwargs: Any) -> TestResponse:
        """Send a request; a header that is ``None`` is left out."""
        named = {"Tus-Resumable": "1.0.0", **dict(headers)}
        named = {name: str(value) for name, value in named.items() if value is not None}
        response = self.client.open(local(url), method=method, headers=named, **kwargs)
        assert response.headers["Tus-Resumable"] == "1.0.0", (method, url, response.status)
        return response

    def create(self, length: int | None = 10, key: str | None = "key", data: Any = None, **headers: Any) -> Any:
        """Begin an upload, and return the answer; names of headers have underscores."""
        named: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named.setdefault("Upload-Metadata", metadata(filename=key))
        if length is not None:
            named.setdefault("Upload-Length", length)
        if data is not None:
            named.setdefault("Content-Type", TYPE)
        return self.send("POST", f"{self.url}?tus", named, data=data)

    def begin(self, *args: Any, **kwargs: Any) -> str:
        """Begin an upload, and return its URL."""
        response = self.create(*args, **kwargs)
        assert response.status_code == 201, response.text
        return str(response.headers["Location"])

    def patch(self, url: str, offset: Any, data: Any, **headers: Any) -> TestResponse:
        """Append bytes."""
        named: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("PATCH", url, {"Upload-Offset": offset, "Content-Type": TYPE, **named}, data=data)

    def head(self, url: str) -> TestResponse:
        """Ask for the offset."""
        return self.send("HEAD", url)
