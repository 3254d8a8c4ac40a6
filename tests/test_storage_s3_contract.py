"""The storage in object stores keeps every suite, on a real Ceph gateway and on SeaweedFS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.s3 import Store

from invenio_files_rest.storage.base import FileStorage
from invenio_files_rest.testing import ListableContract, StorageContract, UploadsContract

pytestmark = [pytest.mark.slow, pytest.mark.every_store]


class TestS3(StorageContract):
    @pytest.fixture
    def make_storage(self, store: Store) -> Callable[..., FileStorage]:
        return store.maker()


class TestS3Uploads(UploadsContract):
    @pytest.fixture
    def make_storage(self, store: Store) -> Callable[..., FileStorage]:
        return store.maker()


class TestS3Listing(ListableContract):
    @pytest.fixture
    def location(self, store: Store) -> str:
        return store.location.uri

    @pytest.fixture
    def make_storage(self, store: Store) -> Callable[..., FileStorage]:
        return store.maker()
