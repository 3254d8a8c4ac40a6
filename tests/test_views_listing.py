"""Listings of a bucket: all of it, however long, or a page."""

from __future__ import annotations

import os
import re
import tracemalloc
from itertools import groupby
from typing import Any

import pytest
from helpers.rest import error, put, run_on_server, url

from invenio_files_rest.http import json_streams
from invenio_files_rest.models import ObjectVersion
from invenio_files_rest.serializer import json_serializer

pytestmark = pytest.mark.usefixtures("allow_all")


def keys_of(response: Any) -> list[str]:
    """Return the keys that a listing shows."""
    assert response.status_code == 200, response.text
    return [item["key"] for item in response.json["contents"]]


def walk(client: Any, bucket: Any, **query: Any) -> list[Any]:
    """Follow the links to the next page to the end, and return the pages."""
    path, pages = url(bucket, **query), []
    while path:
        response = client.get(path)
        assert response.status_code == 200, response.text
        page = response.json
        pages.append(page)
        path = page["links"].get("next")
        link = re.fullmatch(r'<(.*)>; rel="next"', response.headers.get("Link", ""))
        assert (link and link[1]) == path
        assert len(pages) < 1000
    return pages


def merged(pages: list[Any]) -> tuple[list[str], list[str]]:
    """Return the keys and the common prefixes of all pages."""
    return (
        [item["key"] for page in pages for item in page["contents"]],
        [prefix for page in pages for prefix in page.get("common_prefixes", [])],
    )


def test_a_listing_is_complete_however_long(client: Any, bucket: Any, fill: Any) -> None:
    keys = [f"k{number:05}" for number in range(1500)]
    fill(reversed(keys), tags=2)
    response = client.get(url(bucket))
    assert keys_of(response) == keys
    assert response.json["contents"][700]["tags"] == {"t0": "k00700", "t1": "k00700"}
    assert "next" not in response.json["links"]
    assert "Link" not in response.headers


def test_a_listing_of_versions_is_complete_however_long(client: Any, bucket: Any, fill: Any) -> None:
    keys = [f"k{number:04}" for number in range(300)]
    fill(keys, versions=5)
    contents = client.get(url(bucket, versions=True)).json["contents"]
    assert [item["key"] for item in contents] == [key for key in keys for _ in range(5)]
    for _, versions in groupby(contents, key=lambda item: item["key"]):
        created = [(item["is_head"], item["created"]) for item in versions]
        assert created == sorted(created, reverse=True)
        assert [head for head, _ in created] == [True, False, False, False, False]
    assert keys_of(client.get(url(bucket))) == keys


def test_keys_are_in_the_order_of_their_bytes(client: Any, bucket: Any, fill: Any) -> None:
    keys = [
        "B",
        "a",
        "b",
        "A",
        "_",
        "-",
        " ",
        "~",
        "é",
        "e",
        "z",
        "a b",
        "a-b",
        "a/b",
        "aB",
        "日",
        "😀",
        "\uffee",
        "10",
        "9",
    ]
    fill(keys)
    expected = sorted(keys, key=str.encode)
    assert keys_of(client.get(url(bucket))) == expected
    assert merged(walk(client, bucket, **{"max-keys": 1}))[0] == expected


@pytest.mark.parametrize("max_keys", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("query", [{}, {"versions": True}, {"prefix": "k"}])
def test_pages_have_everything_once_and_in_order(
    client: Any, bucket: Any, fill: Any, max_keys: int, query: dict[str, Any]
) -> None:
    keys = [f"k {number:02}&=é" for number in range(23)]
    fill(keys, versions=2)
    pages = walk(client, bucket, **query, **{"max-keys": max_keys})
    listed = merged(pages)[0]
    assert listed == ([key for key in keys for _ in range(2)] if "versions" in query else keys)
    assert len(pages) == -(-len(keys) // max_keys)
    assert all(len({item["key"] for item in page["contents"]}) <= max_keys for page in pages)


def test_a_page_of_all_there_is_is_the_last_one(client: Any, bucket: Any, fill: Any) -> None:
    fill(["a", "b"])
    assert len(walk(client, bucket, **{"max-keys": 2})) == 1
    assert len(walk(client, bucket, **{"max-keys": 1})) == 2


def test_a_prefix_selects_keys_and_is_taken_literally(client: Any, bucket: Any, fill: Any) -> None:
    fill(["a", "ab", "Ab", "a%", "a_b", "a\\", "áb", "b", "ab ", "a%b"])
    for prefix, expected in {
        "a": ["a", "a%", "a%b", "a\\", "a_b", "ab", "ab "],
        "ab": ["ab", "ab "],
        "ab ": ["ab "],
        "A": ["Ab"],
        "a%": ["a%", "a%b"],
        "a_": ["a_b"],
        "a\\": ["a\\"],
        "á": ["áb"],
        "c": [],
        "'; DROP TABLE files_object; --": [],
    }.items():
        assert keys_of(client.get(url(bucket, prefix=prefix))) == expected, prefix
        assert keys_of(client.get(url(bucket, prefix=prefix, versions=True))) == expected, prefix


def test_a_prefix_may_end_with_the_last_character_before_a_gap(client: Any, bucket: Any, fill: Any) -> None:
    last, private = "\U0010ffff", "\ue000"
    fill(["\ud7ff1", f"{private}1", last, f"{last}1", f"a{last}1", "b"])
    assert keys_of(client.get(url(bucket, prefix="\ud7ff"))) == ["\ud7ff1"]
    assert keys_of(client.get(url(bucket, prefix=last))) == [last, f"{last}1"]
    assert keys_of(client.get(url(bucket, prefix=f"a{last}"))) == [f"a{last}1"]


def test_a_listing_starts_after_a_key(client: Any, bucket: Any, fill: Any) -> None:
    fill(["a", "b", "B", "c"])
    for start, expected in {
        "": ["B", "a", "b", "c"],
        "a": ["b", "c"],
        "B": ["a", "b", "c"],
        "bb": ["c"],
        "c": [],
    }.items():
        assert keys_of(client.get(url(bucket, **{"start-after": start}))) == expected, start


TREE = ["a", "b/", "b/1", "b/2", "b/c/3", "c", "d//4", "d/5", "e/6", "f"]


@pytest.mark.parametrize(
    ("prefix", "delimiter", "keys", "prefixes"),
    [
        ("", "/", ["a", "c", "f"], ["b/", "d/", "e/"]),
        ("b", "/", [], ["b/"]),
        ("b/", "/", ["b/", "b/1", "b/2"], ["b/c/"]),
        ("d/", "/", ["d/5"], ["d//"]),
        ("", "//", [key for key in TREE if key != "d//4"], ["d//"]),
        ("", "c", [key for key in TREE if "c" not in key], ["b/c", "c"]),
        ("x", "/", [], []),
        ("", "", TREE, []),
    ],
)
def test_a_delimiter_groups_keys(
    client: Any, bucket: Any, fill: Any, prefix: str, delimiter: str, keys: list[str], prefixes: list[str]
) -> None:
    fill(TREE)
    query = {"prefix": prefix, "delimiter": delimiter}
    response = client.get(url(bucket, **query))
    assert keys_of(response) == keys
    assert response.json.get("common_prefixes", []) == prefixes
    assert ("common_prefixes" in response.json) == bool(delimiter)
    for max_keys in (1, 2, 3, 100):
        pages = walk(client, bucket, **query, **{"max-keys": max_keys})
        assert merged(pages) == (keys, prefixes)
        for page in pages:
            assert 0 <= len(page["contents"]) + len(page.get("common_prefixes", [])) <= max_keys


def test_a_page_that_ends_with_a_group_goes_on_after_the_group(client: Any, bucket: Any, fill: Any) -> None:
    fill([f"b/{number}" for number in range(50)] + ["a", "b0", "c"])
    pages = walk(client, bucket, delimiter="/", **{"max-keys": 2})
    assert [([item["key"] for item in page["contents"]], page["common_prefixes"]) for page in pages] == [
        (["a"], ["b/"]),
        (["b0", "c"], []),
    ]


def test_a_listing_that_starts_within_a_group_shows_the_group(client: Any, bucket: Any, fill: Any) -> None:
    fill(["b/1", "b/2", "c"])
    response = client.get(url(bucket, delimiter="/", **{"start-after": "b/1"}))
    assert (keys_of(response), response.json["common_prefixes"]) == (["c"], ["b/"])


def test_groups_of_versions_are_those_of_their_keys(client: Any, bucket: Any) -> None:
    for key in ("a/1", "a/2", "b"):
        put(client, bucket, key)
    client.delete(url(bucket, "a/1"))
    client.delete(url(bucket, "a/2"))
    response = client.get(url(bucket, delimiter="/"))
    assert (keys_of(response), response.json["common_prefixes"]) == (["b"], [])
    response = client.get(url(bucket, delimiter="/", versions=True))
    assert (keys_of(response), response.json["common_prefixes"]) == (["b"], ["a/"])


def test_what_changes_between_pages_neither_repeats_nor_hides_anything(client: Any, bucket: Any, fill: Any) -> None:
    fill(["a", "c", "e"])
    page = client.get(url(bucket, **{"max-keys": 2})).json
    client.delete(url(bucket, "c"))
    put(client, bucket, "b")
    put(client, bucket, "d")
    assert keys_of(client.get(page["links"]["next"])) == ["d", "e"]


def test_the_link_to_the_next_page_keeps_the_arguments(client: Any, bucket: Any, fill: Any) -> None:
    fill(["x/a b&c", "x/d", "y"])
    page = client.get(url(bucket, versions=True, prefix="x/", prettyprint=1, **{"max-keys": 1})).json
    following = client.get(page["links"]["next"])
    assert keys_of(following) == ["x/d"]
    assert following.text.startswith("{\n")
    assert "next" not in following.json["links"]
    assert page["links"]["self"] == f"http://localhost/files/{bucket.id}"


def test_a_token_is_in_no_link(client: Any, bucket: Any, fill: Any) -> None:
    fill(["a", "b"])
    answer = client.get(url(bucket, access_token="secret", prefix="", **{"max-keys": 1}))
    assert "next" in answer.json["links"]
    assert "secret" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("value", ["0", "-1", "1001", "many", "", "1.5", "1e2", "9" * 30, "%00"])
def test_a_number_of_keys_that_is_none_is_refused(client: Any, bucket: Any, value: str) -> None:
    answer = error(client.get(f"{url(bucket)}?max-keys={value}"), 422)
    assert [item["field"] for item in answer["errors"]] == ["max-keys"]


@pytest.mark.parametrize("name", ["prefix", "delimiter", "start-after"])
def test_a_character_that_no_key_has_is_refused(client: Any, bucket: Any, name: str) -> None:
    for value in ("a%00", "%ff%fe"):
        answer = error(client.get(f"{url(bucket)}?{name}={value}"), 422)
        assert [item["field"] for item in answer["errors"]] == [name]


def test_the_memory_of_a_listing_does_not_grow_with_it(app: Any, client: Any, bucket: Any, fill: Any) -> None:
    fill([f"{number:08}{os.urandom(100).hex()}" for number in range(8000)])
    path = url(bucket)
    run_on_server(app, url(bucket, **{"max-keys": 1}), len)
    tracemalloc.start()
    try:
        status, size = run_on_server(app, path, len)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status.startswith("200")
    assert size > 8 * 1024**2
    assert peak < 4 * 1024**2


@pytest.mark.parametrize("prettyprint", ["", "?prettyprint=1"])
def test_a_view_of_another_package_shows_what_it_has_found(
    app: Any, client: Any, bucket: Any, fill: Any, prettyprint: str
) -> None:
    fill("ab")
    query = ObjectVersion.get_by_bucket(bucket)
    context = {"class": ObjectVersion, "bucket": bucket, "many": True}
    expected = client.get(url(bucket)).json
    with app.test_request_context(f"/{prettyprint}"):
        for objects in (query, query.all()):
            with json_serializer(objects, context=context) as response:
                assert response.json == expected


def test_only_a_listing_that_does_not_fit_in_memory_is_sent_from_a_file(
    app: Any, bucket: Any, fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("ab")
    context = {"class": ObjectVersion, "bucket": bucket, "many": True}
    objects = ObjectVersion.get_by_bucket(bucket).all()
    with app.test_request_context():
        with json_serializer(objects, context=context) as response:
            assert response.is_sequence
            assert response.content_length == len(response.data)
            whole = response.data
        for limit, in_memory in ((len(whole), True), (len(whole) - 1, False)):
            monkeypatch.setattr(json_streams, "SPOOLED_IN_MEMORY", limit)
            with json_serializer(objects, context=context) as response:
                assert response.is_sequence is in_memory
                assert response.content_length == len(whole)
                assert response.get_data() == whole
