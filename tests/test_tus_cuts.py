"""Whatever is sent to an upload in whatever order, and wherever it breaks: it has the bytes that it says it has."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO
from typing import Any

import pytest
from helpers.tus import TYPE, TusClient, local
from helpers.uploading import Breaking, bucket_size
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from invenio_db import db

from invenio_files_rest.models import Bucket

SIZE = 200_000
CONTENT = b"".join(number.to_bytes(4, "big") for number in range(SIZE // 4))

sizes = st.one_of(st.integers(0, 10), st.integers(0, SIZE), st.sampled_from([65535, 65536, 65537]))
patch = st.fixed_dictionaries(
    {
        "size": sizes,
        "cut": st.none() | sizes,
        "checksum": st.sampled_from([None, "right", "wrong"]),
        "chunked": st.booleans(),
        "wrong_by": st.sampled_from([0, 0, 0, 0, 1, -1, 70_000]),
        "says_length": st.booleans(),
        "asks": st.booleans(),
    }
)


@pytest.mark.usefixtures("allow_all")
@settings(
    max_examples=15,
    deadline=None,
    # Making a failure smaller takes more time than there is.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(deferred=st.booleans(), patches=st.lists(patch, min_size=2, max_size=8))
def test_an_upload_has_the_bytes_that_it_says_it_has(
    client: Any, bucket: Bucket, deferred: bool, patches: list[dict[str, Any]]
) -> None:
    tus = TusClient(client, bucket)
    before = bucket_size(bucket)
    upload = tus.begin(None, Upload_Defer_Length=1) if deferred else tus.begin(SIZE)
    offset, length = 0, None if deferred else SIZE
    for each in patches:
        size = min(each["size"], SIZE - offset)
        cut = None if each["cut"] is None or each["cut"] >= size else each["cut"]
        data = CONTENT[offset : offset + size]
        headers: dict[str, Any] = {"Upload-Offset": max(0, offset + each["wrong_by"]), "Content-Type": TYPE}
        is_wrong = headers["Upload-Offset"] != offset
        if each["checksum"]:
            digest = hashlib.sha1(data if each["checksum"] == "right" else data + b"x").digest()
            headers["Upload-Checksum"] = f"sha1 {base64.b64encode(digest).decode()}"
        if each["says_length"]:
            headers["Upload-Length"] = SIZE
        came = data if cut is None else data[:cut]
        environ: dict[str, Any] = {"wsgi.input": BytesIO(came) if cut is None else Breaking(came, "raises")}
        if each["chunked"]:
            environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        else:
            environ["CONTENT_LENGTH"] = str(size)
        response = tus.send("PATCH", upload, headers, environ_overrides=environ)
        overrun = not each["chunked"] and headers["Upload-Offset"] + size > SIZE and (length or each["says_length"])
        if is_wrong:
            assert response.status_code in ((409, 413) if overrun else (409,)), response.text
        elif cut is not None:
            assert response.status_code == 400, response.text
            if each["checksum"] is None:
                offset += cut
        elif each["checksum"] == "wrong" and size:
            assert response.status_code == 460, response.text
        elif response.status_code == 204:
            assert response.headers["Upload-Offset"] == str(offset + size)
            offset += size
        else:
            assert (size, each["checksum"]) == (0, "wrong"), response.text
        if each["says_length"] and not is_wrong:
            length = SIZE
        if each["asks"] or cut is not None:
            found = tus.head(upload).headers
            assert found["Upload-Offset"] == str(offset)
            assert found.get("Upload-Length") == (None if length is None else str(length))
        db.session.expire_all()
        if length is not None and offset == SIZE:
            break
    if not (length is not None and offset == SIZE):
        assert tus.patch(upload, offset, CONTENT[offset:], Upload_Length=SIZE).status_code == 204
    elif patches:
        # Who has not heard the last answer asks.
        assert tus.head(upload).headers["Upload-Offset"] == str(SIZE)
    assert client.get(f"{tus.url}/key").data == CONTENT
    assert bucket_size(bucket) == before + SIZE


nonsense = st.one_of(
    st.none(),
    st.sampled_from(
        [
            "",
            "0",
            "1",
            "3",
            "?1",
            "?0",
            "?2",
            "-1",
            "1.0.0",
            "partial",
            "final;",
            "final;x",
            "final;?uploadId=1",
            ",",
            "a",
        ]
    ),
    st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=20).map(str.strip),
)
NAMES = (
    *("Tus-Resumable", "Upload-Length", "Upload-Defer-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum"),
    *("Upload-Concat", "Upload-Complete", "Upload-Incomplete", "Upload-Draft-Interop-Version", "Content-Digest"),
    *("X-HTTP-Method-Override", "Content-Type", "If-Match"),
)
SENSIBLE = {
    "Tus-Resumable": "1.0.0",
    "Upload-Length": "4",
    "Upload-Offset": "0",
    "Upload-Metadata": "filename a2V5",
    "Content-Type": TYPE,
}


@pytest.mark.usefixtures("allow_all")
@settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=st.sampled_from(["POST", "PATCH", "HEAD", "GET", "DELETE", "PUT", "OPTIONS"]),
    place=st.sampled_from(["creation", "upload", "partial", "draft", "object"]),
    headers=st.dictionaries(st.sampled_from(NAMES), nonsense, max_size=4),
    data=st.binary(max_size=8),
)
def test_nonsense_is_never_the_servers_fault(
    client: Any, bucket: Bucket, method: str, place: str, headers: dict[str, str | None], data: bytes
) -> None:
    tus = TusClient(client, bucket)
    if place == "creation":
        url = f"{tus.url}?tus"
    elif place == "upload":
        url = tus.begin(4)
    elif place == "partial":
        url = tus.begin(4, None, Upload_Concat="partial")
    elif place == "draft":
        url = client.put(f"{tus.url}/key", data=b"0", headers={"Upload-Complete": "?0"}).headers["Location"]
    else:
        url = f"{tus.url}/key"
    named = {name: value for name, value in {**SENSIBLE, **headers}.items() if value is not None}
    response = client.open(local(url), method=method, headers=named, data=data)
    assert response.status_code < 500, response.text
    if response.status_code >= 400 and method != "HEAD" and response.data:
        assert response.json["message"]
