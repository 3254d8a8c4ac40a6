"""How the limits of a bucket compare, and where they come from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from flask import Flask

from invenio_files_rest.limiters import FileSizeLimit, file_size_limiters
from invenio_files_rest.models import Bucket


def test_a_limit_compares_like_its_number():
    limit = FileSizeLimit(10, "Ten.")
    assert limit == 10
    assert limit == FileSizeLimit(10, "Also ten.")
    assert limit != 11
    assert 9 < limit < 11
    assert limit <= 10 <= limit
    assert 11 > limit > FileSizeLimit(9, "Nine.")
    assert hash(limit) == hash(10)


def test_the_least_of_several_limits_keeps_its_reason():
    limits = [FileSizeLimit(3, "Three."), FileSizeLimit(2, "Two."), FileSizeLimit(4, "Four.")]
    assert min(limits).reason == "Two."


def test_the_text_of_a_limit_has_number_and_reason():
    assert repr(FileSizeLimit(3, "Three.")) == "FileSizeLimit(3, 'Three.')"


@pytest.mark.parametrize(("quota_left", "max_file_size"), [(None, None), (5, None), (None, 7), (0, 0)])
def test_a_bucket_limits_by_what_is_left_and_by_file(quota_left: int | None, max_file_size: int | None):
    limits = file_size_limiters(SimpleNamespace(quota_left=quota_left, max_file_size=max_file_size))
    assert [limit.limit for limit in limits] == [quota_left, max_file_size]
    assert [limit.reason for limit in limits] == ["Bucket quota exceeded.", "Maximum file size exceeded."]


@pytest.mark.parametrize(
    ("quota_size", "size", "max_file_size", "expected"),
    [
        (None, 5, None, None),
        (10, 4, None, 6),
        (10, 4, 3, 3),
        (10, 9, 3, 1),
        (10, 12, None, 0),
        (None, 5, 0, 0),
    ],
)
def test_the_tightest_limit_binds(
    bucket: Bucket, quota_size: int | None, size: int, max_file_size: int | None, expected: int | None
):
    bucket.quota_size, bucket.size, bucket.max_file_size = quota_size, size, max_file_size
    assert bucket.size_limit == expected


def test_the_settings_name_the_limiters(app: Flask, bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    limiters = lambda bucket: [FileSizeLimit(None, "None."), FileSizeLimit(1, "One.")]  # noqa: E731 (a setting)
    monkeypatch.setattr(app.extensions["invenio-files-rest"], "file_size_limiters", limiters)
    assert (bucket.size_limit.limit, bucket.size_limit.reason) == (1, "One.")
