"""Arguments of requests: numbers and identifiers have one spelling, and none of ours is passed over in a write."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from flask import request
from helpers.parts import CONTENT, PARTS, begin
from helpers.rest import Unreadable, error, nothing_stays, put, put_stream, stored, url
from webargs import fields

from invenio_files_rest.errors import InvalidArguments
from invenio_files_rest.http.arguments import WholeNumber, use_kwargs
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion

pytestmark = pytest.mark.usefixtures("allow_all", "small_parts")

NO_NUMBERS = [
    "1_0",
    "+10",
    " 10",
    "10 ",
    "10\n",
    "\uff11\uff10",
    "\u0661\u0660",
    "1e1",
    "10.0",
    "0x10",
    "ten",
    "",
    "1" * 5000,
    "--1",
    "\u2169",
]


def field(response: Any, status: int = 422) -> str:
    """Check that a response refuses one argument, with a message that helps, and return the argument's name."""
    errors = error(response, status)["errors"]
    assert len(errors) == 1
    assert "0 to 9" in errors[0]["message"]
    return str(errors[0]["field"])


# Numbers


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_in_digits_is_refused(client: Any, bucket: Any, location: Any, text: str) -> None:
    upload = begin(client, bucket)
    file = {"file": (io.BytesIO(PARTS[0]), "a")}
    with nothing_stays(location):
        assert field(client.get(url(bucket, **{"max-keys": text}))) == "max-keys"
        assert field(client.post(url(bucket, "a", uploads=True, size=text, partSize=4))) == "size"
        assert field(client.post(url(bucket, "a", uploads=True, size=10, partSize=text))) == "partSize"
        assert field(client.put(upload.url(partNumber=text), data=PARTS[0])) == "partNumber"
        assert field(client.put(upload.url(part=text), data=PARTS[0])) == "part"
        for form in ({"_chunkNumber": text}, {"_chunkNumber": "0", "_currentChunkSize": text}):
            data = {**form, "file": (io.BytesIO(PARTS[0]), "a")}
            assert field(client.put(upload.url(), data=data)) in form
        assert field(client.put(url(bucket, "a"), data={**file, "_totalSize": text})) == "_totalSize"


@pytest.mark.parametrize("value", [10.9, 1e400, True, False, [10], {"a": 10}, *NO_NUMBERS])
def test_json_that_is_no_whole_number_is_refused(client: Any, bucket: Any, location: Any, value: Any) -> None:
    with nothing_stays(location):
        for sizes in ({"size": value, "partSize": 4}, {"size": 10, "partSize": value}):
            answer = error(client.post(url(bucket, "a", uploads=True), json=sizes), 422)
            assert [item["field"] for item in answer["errors"]] == [name for name in sizes if sizes[name] is value]


@pytest.mark.parametrize("size", [10, 10.0, "10", "0010"])
def test_whole_numbers_are_taken_as_clients_write_them(client: Any, bucket: Any, size: Any) -> None:
    answer = client.post(url(bucket, "a", uploads=True), json={"size": size, "partSize": "4"})
    assert (answer.status_code, answer.json["size"], answer.json["part_size"]) == (200, 10, 4)


@pytest.mark.parametrize("number", [10**15, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63) - 1])
def test_no_number_is_too_large_to_be_refused(client: Any, bucket: Any, location: Any, number: int) -> None:
    upload = begin(client, bucket)
    with nothing_stays(location):
        error(client.get(url(bucket, **{"max-keys": number})), 422)
        error(client.post(url(bucket, "a", uploads=True, size=number, partSize=4)), 400)
        error(client.post(url(bucket, "a", uploads=True, size=10, partSize=number)), 400)
        error(client.post(url(bucket, "a", uploads=True), json={"size": float(number), "partSize": 4}), 400)
        error(client.put(upload.url(partNumber=number), data=PARTS[0]), 400)
        for form in ({"_chunkNumber": number}, {"_chunkNumber": 0, "_currentChunkSize": number}):
            error(client.put(upload.url(), data={**form, "file": (io.BytesIO(PARTS[0]), "a")}), 400)
        data = {"_totalSize": number, "file": (io.BytesIO(PARTS[0]), "a")}
        error(client.put(url(bucket, "a"), data=data), 400)


@pytest.mark.parametrize("length", [2**63 - 1, 2**63, 10**30])
def test_a_length_that_no_file_has_is_refused(client: Any, bucket: Any, location: Any, length: int) -> None:
    with nothing_stays(location):
        response = put_stream(client, bucket, "a", io.BytesIO(CONTENT), length)
        assert response.status_code in (400, 507)
        error(response, response.status_code)


@pytest.mark.parametrize("length", ["1_0", "+10", "\uff11\uff10", "10.0", "-10"])
def test_a_length_that_is_no_number_is_refused(client: Any, bucket: Any, location: Any, length: str) -> None:
    with nothing_stays(location):
        overrides = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": length}
        response = client.put(url(bucket, "a"), environ_overrides=overrides)
        assert response.status_code in (400, 422)


# Identifiers


@pytest.mark.parametrize("spell", [str, lambda value: str(value).upper()])
def test_an_identifier_has_digits_of_any_case(client: Any, bucket: Any, spell: Any) -> None:
    upload = begin(client, bucket)
    version = put(client, bucket)["version_id"]
    assert client.head(f"/files/{spell(bucket.id)}").status_code == 200
    answer = client.get(f"/files/{spell(bucket.id)}/a.txt?versionId={spell(version)}")
    assert answer.status_code == 200
    listed = client.get(f"/files/{spell(bucket.id)}").json
    assert listed["links"]["self"].endswith(str(bucket.id))
    assert client.get(url(bucket, "a.txt", uploadId=spell(upload.id))).json["id"] == upload.id


MISSPELLINGS = [
    "{{{}}}",
    "urn:uuid:{}",
    " {}",
    "{}\n",
    "{}-",
    "{0.hex}",
    "{{{0.hex}}}",
    "{0.int}",
    "{}0",
    "",
]


@pytest.mark.parametrize("spelling", MISSPELLINGS)
def test_an_identifier_has_one_spelling(client: Any, bucket: Any, location: Any, spelling: str) -> None:
    upload = begin(client, bucket)
    version = put(client, bucket)["version_id"]
    with nothing_stays(location):
        if spelling:
            path = f"/files/{quote(spelling.format(bucket.id))}"
            for method, end in (("GET", ""), ("GET", "/a.txt"), ("PUT", "/b"), ("DELETE", "/a.txt"), ("POST", "/b")):
                error(client.open(path + end, method=method, data=CONTENT), 404)
        for name, identifier in (("versionId", version), ("uploadId", upload.id)):
            query = {name: spelling.format(UUID(identifier))}
            for method in ("GET", "DELETE"):
                answer = error(client.open(url(bucket, "a.txt", **query), method=method), 422)
                assert answer["errors"][0]["field"] == name
        for method in ("PUT", "POST"):
            wrong = url(bucket, "a.txt", uploadId=spelling.format(UUID(upload.id)))
            answer = error(client.open(wrong, method=method, data=CONTENT), 422)
            assert answer["errors"][0]["field"] == "uploadId"


def test_digits_of_other_scripts_are_no_identifier(client: Any, bucket: Any) -> None:
    digits = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")
    assert str(bucket.id).translate(digits) != str(bucket.id)
    error(client.get(url(str(bucket.id).translate(digits))), 404)
    error(client.get(url(bucket, "a", versionId=str(bucket.id).translate(digits))), 422)


def test_a_text_that_is_not_in_utf_8_is_refused_in_views_of_others_too(app: Any) -> None:
    parse = use_kwargs({"name": fields.String(), "number": WholeNumber()}, location="query")(lambda **found: found)
    for query, wrong in (("name=%E9", "name"), ("name=\xe9", "query"), ("number=1&other=\xe9", "query")):
        with app.test_request_context(environ_overrides={"QUERY_STRING": query}):
            with pytest.raises(InvalidArguments) as refusal:
                parse()
            assert [error.to_dict() for error in refusal.value.errors] == [{"field": wrong, "message": "Not in UTF-8."}]


# Arguments that mean nothing where they stand

UPLOAD = "uploadId={upload}"
STRAYS = [
    ("PUT", "partNumber=1", "partNumber"),
    ("PUT", "part=1", "part"),
    ("PUT", "partNumber=", "partNumber"),
    ("PUT", "uploads", "uploads"),
    ("PUT", "uploads=&size=10&partSize=4", "uploads"),
    ("PUT", "versionId={version}", "versionId"),
    ("PUT", "versionId=", "versionId"),
    ("PUT", "uploadid={upload}&partNumber=0", "uploadid"),
    ("PUT", "UPLOADID={upload}", "UPLOADID"),
    ("PUT", "uploadid=", "uploadid"),
    ("PUT", "versionid={version}", "versionid"),
    ("PUT", f"{UPLOAD}&partNumber=0&versionId={{version}}", "versionId"),
    ("PUT", f"{UPLOAD}&partNumber=0&uploads", "uploads"),
    ("PUT", f"{UPLOAD}&partNumber=0&partnumber=1", "partnumber"),
    ("PUT", f"{UPLOAD}&partNumber=0&partNumber=1", "partNumber"),
    ("PUT", f"{UPLOAD}&{UPLOAD}&partNumber=0", "uploadId"),
    ("POST", "uploadid={upload}", "uploadid"),
    ("POST", "Uploads&size=10&partSize=4", "Uploads"),
    ("POST", f"uploads&{UPLOAD}", "uploadId"),
    ("POST", f"uploads&size=10&partSize=4&{UPLOAD}", "uploadId"),
    ("POST", "uploads&size=10&partSize=4&partNumber=0", "partNumber"),
    ("POST", "uploads&size=10&partsize=4", "partsize"),
    ("POST", "uploads&size=10&size=11&partSize=4", "size"),
    ("POST", f"{UPLOAD}&partNumber=0", "partNumber"),
    ("DELETE", "versionid={version}", "versionid"),
    ("DELETE", "uploadid={upload}", "uploadid"),
    ("DELETE", f"{UPLOAD}&versionId={{version}}", "versionId"),
    ("DELETE", f"{UPLOAD}&partNumber=0", "partNumber"),
    ("DELETE", "partNumber=0", "partNumber"),
    ("DELETE", "versionId={version}&versionId={version}", "versionId"),
]


@pytest.mark.parametrize(("method", "query", "name"), STRAYS)
def test_an_argument_that_would_be_passed_over_is_refused(
    client: Any, bucket: Any, location: Any, method: str, query: str, name: str
) -> None:
    upload = begin(client, bucket)
    upload.put_all()
    version = put(client, bucket)["version_id"]
    path = f"{url(bucket, 'a.txt')}?{query.format(upload=upload.id, version=version)}"
    with nothing_stays(location):
        if method == "PUT":
            response = client.put(path, environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "4"})
        else:
            response = client.open(path, method=method)
        assert f" {name} " in error(response, 400)["message"]
    assert len(upload.parts()) == 3


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"_totalSize": "4", "_chunkNumber": "0"}, "_chunkNumber"),
        ({"_totalSize": "4", "_currentChunkSize": "4"}, "_currentChunkSize"),
        ({"_totalSize": "4", "_chunknumber": "0"}, "_chunknumber"),
        ({"_totalsize": "4"}, "_totalsize"),
        ({"_totalSize": "10", "_chunkNumber": "0", "_currentChunkSize": "4", "_chunkSize": "4"}, "_chunkNumber"),
        ({"_totalSize": "4", "_chunkNumber": "1", "_currentChunkSize": "4", "_chunkSize": "4"}, "_chunkNumber"),
        ({"_totalSize": "4", "_chunksize": "4"}, "_chunksize"),
        ({"_totalSize": ["4", "5"]}, "_totalSize"),
        ({"_totalSize": "4", "File": "x"}, "File"),
    ],
)
def test_a_form_with_a_part_is_no_file(
    client: Any, bucket: Any, location: Any, fields: dict[str, Any], name: str
) -> None:
    put(client, bucket)
    with nothing_stays(location):
        data = {**fields, "file": (io.BytesIO(PARTS[0]), "a")}
        assert f" {name} " in error(client.put(url(bucket, "a.txt"), data=data), 400)["message"]


@pytest.mark.parametrize("part_size", [len(CONTENT), 4096])
def test_the_form_of_a_whole_file_has_what_ng_file_upload_sends(
    client: Any, bucket: Any, location: Any, part_size: int
) -> None:
    sizes = {"_chunkSize": part_size, "_currentChunkSize": len(CONTENT), "_chunkNumber": 0, "_totalSize": len(CONTENT)}
    data = {**sizes, "file": (io.BytesIO(CONTENT), "a"), "own": "x"}
    assert client.put(url(bucket, "a.txt"), data=data).json["size"] == len(CONTENT)
    assert stored(location) == [CONTENT]


def test_a_form_with_two_files_is_refused(client: Any, bucket: Any, location: Any) -> None:
    with nothing_stays(location):
        data = {"_totalSize": "4", "file": [(io.BytesIO(PARTS[0]), "a"), (io.BytesIO(PARTS[1]), "b")]}
        assert " file " in error(client.put(url(bucket, "a.txt"), data=data), 400)["message"]


def test_the_form_of_a_part_has_what_ng_file_upload_sends(client: Any, bucket: Any) -> None:
    upload = begin(client, bucket)
    for number, part in enumerate(PARTS):
        sizes = {"_chunkSize": 4, "_currentChunkSize": len(part), "_chunkNumber": number, "_totalSize": len(CONTENT)}
        data = {**sizes, "file": (io.BytesIO(part), "blob"), "own": "x"}
        assert client.put(upload.url(), data=data).status_code == 200
    data = {"_chunknumber": 0, "_chunkNumber": 0, "file": (io.BytesIO(PARTS[0]), "blob")}
    assert " _chunknumber " in error(client.put(upload.url(), data=data), 400)["message"]
    assert upload.complete().json["completed"]


@pytest.mark.parametrize("name", ["size", "Size", "partSize", "prefix", "Prefix", "download", "versions", "delimiter"])
def test_an_argument_that_means_no_other_request_is_left_to_the_upload_factories(
    client: Any, bucket: Any, location: Any, app: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def factory() -> Any:
        return request.stream, int(request.args[name]), None, {}

    monkeypatch.setitem(vars(app.extensions["invenio-files-rest"]), "upload_factories", [factory])
    assert client.put(f"{url(bucket, 'a.txt')}?{name}={len(CONTENT)}&{name}=x", data=CONTENT).status_code == 200
    assert stored(location) == [CONTENT]


FOREIGN = "access_token=abc&upload_id=1&X-Amz-Date=2&own&own=2&prettyprint=1"


def test_arguments_that_are_not_ours_pass(client: Any, bucket: Any, monkeypatch: Any, app: Any) -> None:
    assert client.post(f"/files?{FOREIGN}").status_code == 200
    path = f"{url(bucket, 'a.txt')}?{FOREIGN}"
    version = client.put(path, data=CONTENT).json["version_id"]
    upload = client.post(f"{path}&uploads&size=10&partSize=4").json["id"]
    for number, part in enumerate(PARTS):
        assert client.put(f"{path}&uploadId={upload}&partNumber={number}", data=part).status_code == 200
    assert client.post(f"{path}&uploadId={upload}").json["completed"]
    upload = client.post(f"{path}&uploads=1&size=10&partSize=4").json["id"]
    assert client.delete(f"{path}&uploadId={upload}").status_code == 204
    assert client.delete(path).status_code == 204
    assert client.delete(f"{path}&versionId={version}").status_code == 204


def test_a_bucket_is_not_made_by_what_was_meant_for_an_object(client: Any, bucket: Any) -> None:
    for name in ("uploads", "uploadId", "uploadid", "versionId"):
        assert f" {name} " in error(client.post(f"/files?{name}"), 400)["message"]
    assert Bucket.query.count() == 1


def test_reading_passes_over_what_means_nothing_there(client: Any, bucket: Any) -> None:
    put(client, bucket)
    assert client.get(f"{url(bucket, 'a.txt')}?partNumber=1&VersionId=1").data
    assert client.get(f"{url(bucket)}?versionId=1&Uploads").json["contents"]


def test_documented_statuses_stay(client: Any, bucket: Any, location: Any) -> None:
    put(client, bucket)
    with nothing_stays(location):
        for query in ("uploads", "uploads&versionId=" + str(uuid4())):
            for method in ("GET", "DELETE"):
                error(client.open(f"{url(bucket, 'a.txt')}?{query}", method=method), 405)
        for query in ("", "own=1", "partNumber=1", "versionId=" + str(uuid4())):
            error(client.post(f"{url(bucket, 'a.txt')}?{query}"), 403)
        error(client.post(f"{url(bucket, 'a.txt')}?uploads&size=10"), 400)
    assert (ObjectVersion.query.count(), MultipartObject.query.count()) == (1, 0)


@pytest.mark.parametrize("number", ["1", "one"])
def test_a_form_and_its_query_have_one_part_number(client: Any, bucket: Bucket, number: str) -> None:
    upload = client.post(url(bucket, "key", uploads=True, size=8, partSize=4)).json["id"]
    fields = {"_chunkNumber": "0", "_currentChunkSize": "4", "file": (io.BytesIO(b"1234"), "f")}
    answer = client.put(url(bucket, "key", uploadId=upload, partNumber=number), data=fields)
    assert answer.status_code in (400, 422)
    assert client.get(url(bucket, "key", uploadId=upload)).json["parts"] == []
