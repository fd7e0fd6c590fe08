"""Emulated S3 and DynamoDB for tests: one server, a process of its own, for each test process."""

from __future__ import annotations

import subprocess
import sys
import uuid
from functools import cache
from pathlib import Path

from image_processor.aws.client import Client, Request
from image_processor.aws.credentials import Credentials
from image_processor.aws.endpoints import parse_endpoint
from image_processor.aws.retries import PATIENT, Retries
from image_processor.aws.signature import Scope
from image_processor.catalog.dynamodb import DynamoCatalog
from image_processor.storage.s3 import S3Store

REGION = "us-east-1"
_SERVER = Path(__file__).with_name("aws_server.py")
_running: list[subprocess.Popen[str]] = []


def credentials() -> Credentials:
    return Credentials("test", "test")


@cache
def address() -> str:
    """Where the emulation answers. The first call starts it; it ends with this process, however
    that ends, because then its standard input is closed."""
    command = [sys.executable, str(_SERVER)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _running.append(server)
    assert server.stdout is not None
    return f"http://127.0.0.1:{int(server.stdout.readline())}"


def s3_client(endpoint: str) -> Client:
    return Client(parse_endpoint(endpoint), Scope(REGION, "s3"), credentials)


def make_bucket(endpoint: str) -> str:
    """A new bucket's name."""
    bucket = f"test-{uuid.uuid4().hex}"
    assert s3_client(endpoint).send(Request("PUT", f"/{bucket}")).status == 200
    return bucket


def open_store(endpoint: str, bucket: str, retries: Retries = PATIENT) -> S3Store:
    return S3Store(bucket, endpoint=endpoint, region=REGION, credentials=credentials, retries=retries)


def open_catalog(endpoint: str, table: str) -> DynamoCatalog:
    return DynamoCatalog(table, endpoint=endpoint, region=REGION, credentials=credentials)


def make_table(endpoint: str) -> str:
    """A new table's name."""
    table = f"test-{uuid.uuid4().hex}"
    open_catalog(endpoint, table).create_table()
    return table
