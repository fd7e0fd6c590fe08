"""AWS backends for the contract suites, emulated by moto. CONTRACT_S3_ENDPOINT selects another S3, such
as LocalStack, which checks signatures and digests.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from image_processor.catalog.dynamodb import DynamoCatalog
from image_processor.catalog.objects import ObjectCatalog
from image_processor.domain.models import Lease, OutboxMessage, Record, Upload
from image_processor.domain.ports import Catalog
from image_processor.storage.directory import DirectoryStore
from image_processor.storage.s3 import S3Store
from support import aws
from support.memory_store import MemoryStore

ConnectCatalog = Callable[[], AbstractContextManager[Catalog]]


@contextmanager
def s3() -> Iterator[Callable[[], S3Store]]:
    endpoint = os.environ.get("CONTRACT_S3_ENDPOINT") or aws.address()
    yield partial(aws.open_store, endpoint, aws.make_bucket(endpoint))


@contextmanager
def dynamodb() -> Iterator[ConnectCatalog]:
    yield partial(_open_table, aws.address(), aws.make_table(aws.address()))


class PartlyMigratedCatalog(DynamoCatalog):
    """Half of the records are in the form in which version 0.1 wrote them."""

    def acquire(self, upload: Upload, **more: Any) -> Lease:
        lease = super().acquire(upload, **more)
        self._revert(lease.image_id)
        return lease

    def complete(self, lease: Lease, record: Record, messages: Sequence[OutboxMessage] = ()) -> Record:
        completed = super().complete(lease, record, messages)
        self._revert(lease.image_id)
        return completed

    def _revert(self, id_: str) -> None:
        if zlib.crc32(id_.encode()) & 32:  # another bit than those that choose the shard
            revert_to_0_1(self, self._table, id_)


def revert_to_0_1(catalog: DynamoCatalog, table: str, id_: str) -> None:
    """Change the item of a record to what version 0.1 wrote."""
    catalog._client.call(
        "UpdateItem",
        TableName=table,
        Key={"id": {"S": id_}},
        UpdateExpression="SET shelf = :shelf",
        ExpressionAttributeValues={":shelf": {"S": "records"}},
    )


@contextmanager
def objects_in_memory() -> Iterator[ConnectCatalog]:
    catalog = ObjectCatalog(MemoryStore())
    yield lambda: nullcontext(catalog)


@contextmanager
def objects_in_directory() -> Iterator[ConnectCatalog]:
    with tempfile.TemporaryDirectory() as folder:
        yield partial(_open_folder, Path(folder))


@contextmanager
def objects_in_s3() -> Iterator[ConnectCatalog]:
    yield partial(_open_bucket, aws.address(), aws.make_bucket(aws.address()))


def _open_table(endpoint: str, table: str) -> AbstractContextManager[DynamoCatalog]:
    catalog = PartlyMigratedCatalog(table, endpoint=endpoint, region=aws.REGION, credentials=aws.credentials)
    return closing(catalog)


def _open_folder(folder: Path) -> AbstractContextManager[ObjectCatalog]:
    return nullcontext(ObjectCatalog(DirectoryStore(folder)))


def _open_bucket(endpoint: str, bucket: str) -> AbstractContextManager[ObjectCatalog]:
    return nullcontext(ObjectCatalog(aws.open_store(endpoint, bucket)))
