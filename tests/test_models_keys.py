"""Keys: whatever text they are, they are kept as they are, and none is taken for another."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations
from typing import Any

import pytest

from invenio_files_rest.errors import InvalidKeyError
from invenio_files_rest.models import Bucket, MultipartObject, ObjectVersion

ALIKE = [
    ("key", "KEY"),
    ("e", "é"),
    ("é", "e\N{COMBINING ACUTE ACCENT}"),
    ("key", "key "),
    ("key", " key"),
    ("ß", "ss"),
    ("a", "\N{FULLWIDTH LATIN SMALL LETTER A}"),
    ("a", "a\N{ZERO WIDTH SPACE}"),
    ("\N{GRINNING FACE}", "\N{PILE OF POO}"),
    ("a%", "ab"),
    ("a_c", "abc"),
    ("a/b", "a//b"),
]
ODD = [
    "100%.txt",
    "%2e%2e",
    "_",
    "it's \"quoted\" `so` \\ and \\'so\\'",
    "two\nlines\r\n\tand a tab",
    "a; DROP TABLE files_object; --",
    ":name %(name)s ? {}",
    "..\\../etc/passwd",
    "/absolute",
    "folder/",
    "日本語/ファイル.txt",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GRINNING FACE}.png",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "\x7f\x01",
    "k" * 255,
    "\N{GRINNING FACE}" * 255,
    "日" * 255,
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_keys_that_look_alike_are_different_objects(db: Any, bucket: Bucket, one: str, other: str) -> None:
    first = ObjectVersion.create(bucket, one, stream=BytesIO(b"1"))
    second = ObjectVersion.create(bucket, other, stream=BytesIO(b"2"))
    db.session.commit()
    assert ObjectVersion.get(bucket, one) == first
    assert ObjectVersion.get(bucket, other) == second
    ObjectVersion.delete(bucket, one)
    db.session.commit()
    assert ObjectVersion.get_by_bucket(bucket).all() == [second]


@pytest.mark.parametrize("key", ODD)
def test_a_key_comes_back_as_it_was_given(db: Any, bucket: Bucket, key: str) -> None:
    version = ObjectVersion.create(bucket, key, stream=BytesIO(b"hello"))
    db.session.commit()
    db.session.expire_all()
    assert version.key == key
    assert ObjectVersion.get(bucket, key) == version
    assert [one.key for one in bucket.snapshot().objects] == [key]


@pytest.mark.parametrize("key", ["k" * 256, "\N{GRINNING FACE}" * 256, "a\0b", "half \ud83d"])
def test_a_key_that_no_database_can_keep_is_refused(app: Any, bucket: Bucket, key: str) -> None:
    for refused in (
        lambda: ObjectVersion.create(bucket, key),
        lambda: ObjectVersion(key=key),
        lambda: MultipartObject(key=key),
    ):
        with pytest.raises(InvalidKeyError) as caught:
            refused()
        assert caught.value.code == 400


def test_keys_are_listed_in_the_order_of_their_bytes(db: Any, bucket: Bucket) -> None:
    keys = {key for pair in ALIKE for key in pair} | set(ODD) | {"".join(pair) for pair in combinations("aBc-_/é", 2)}
    for key in keys:
        ObjectVersion.create(bucket, key, stream=BytesIO(b"1"))
    db.session.commit()
    listed = [version.key for version in ObjectVersion.get_by_bucket(bucket)]
    assert listed == sorted(keys, key=lambda key: key.encode())
