"""Every wait for another machine has a deadline: a peer that sends a byte now and then holds nobody.

The table names each module that opens connections; a new one needs a row, and a call that ends.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from image_processor.aws import credentials as credentials_module
from image_processor.aws.client import Client, Request
from image_processor.aws.connection import Timeouts
from image_processor.aws.credentials import Credentials, StaticCredentials, credentials_from
from image_processor.aws.endpoints import parse_endpoint
from image_processor.aws.retries import Deadline, Retries
from image_processor.aws.signature import Scope
from image_processor.aws_lambda import publish_function
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import MessageKind, OutboxMessage
from image_processor.domain.ports import Validators
from image_processor.remote.addresses import PrivateHosts
from image_processor.remote.dialer import Dialer
from image_processor.remote.http_source import HttpSource
from image_processor.standalone import webhooks
from image_processor.standalone.webhooks import Webhook, WebhookSender
from image_processor.storage.s3 import obstore_client
from image_processor.storage.s3.obstore_client import ObstoreClient
from support.dripping import dripping

SOURCE = Path(__file__).parents[1] / "src" / "image_processor"
NETWORK = {"http.client", "urllib.request", "obstore", "boto3", "obstore.auth.boto3", "awscrt.http", "socket"}
SECONDS = 0.3
PATIENCE = 20.0
"""Seconds until a call counts as endless, on a busy machine."""
KEY = StaticCredentials(Credentials("id", "secret", "token"))
ONCE = Retries(attempts=1)


def aws_client(address: str) -> None:
    timeouts = Timeouts(exchange=SECONDS)
    endpoint = parse_endpoint(f"http://{address}")
    Client(endpoint, Scope("eu-west-1", "s3"), KEY, timeouts=timeouts, retries=ONCE).send(Request("GET", "/"))


def aws_client_in_an_invocation(address: str) -> None:
    """The function ends earlier than the client would."""
    deadline = Deadline()
    deadline.set(SECONDS)
    retries = Retries(deadline=deadline)
    endpoint = parse_endpoint(f"http://{address}")
    Client(endpoint, Scope("eu-west-1", "s3"), KEY, retries=retries).send(Request("GET", "/"))


def aws_credentials(address: str) -> None:
    credentials_from({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{address}/"})()


def cloudformation(address: str) -> None:
    publish_function._put(f"http://{address}/a?b=c", {})


def s3_head(address: str) -> None:
    s3(address).head("key")


def s3_read(address: str) -> None:
    with s3(address).open("key") as opened:
        opened.read()


def s3(address: str) -> ObstoreClient:
    return ObstoreClient("bucket", parse_endpoint(f"http://{address}/bucket"), "eu-west-1", KEY, ONCE)


def webhook(address: str) -> None:
    catalog = SqliteCatalog(":memory:")
    sender = WebhookSender(Webhook(f"http://{address}/", (b"x" * 24,), 1), catalog.event_queue())
    catalog.close()
    message = OutboxMessage("id", MessageKind.EVENT, "key", datetime.now(UTC), "{}")
    _, problem = sender._post(message)
    if problem is not None:
        raise OSError(problem)


def remote_source(address: str) -> None:
    dialer = Dialer(PrivateHosts.of(("127.0.0.1/32",)))
    with closing(dialer):
        source = HttpSource(dialer, lambda _: True, seconds=SECONDS, connections=1)
        with source.open(f"http://{address}/a.jpg", Validators(), limit=1000) as file:
            assert file.chunks is not None
            list(file.chunks)


WAITS: dict[str, tuple[Callable[[str], None], ...]] = {
    "aws/connection.py": (aws_client, aws_client_in_an_invocation, aws_credentials, cloudformation),
    "storage/s3/obstore_client.py": (s3_head, s3_read),
    "remote/dialer.py": (remote_source,),
    "standalone/webhooks.py": (webhook,),
}
RESOLVERS = {"remote/resolver.py"}
"""It asks name servers; tests/remote shows that nobody waits longer than its deadline."""
OPERATOR = {
    "cli/aws_session.py",
    "cli/aws_target.py",
    "cli/function_package.py",
    "cli/server_client.py",
    "cli/sqs.py",
    "bootstrap/operator_access.py",
}
"""Of commands that a person has started and may end: botocore's and urllib's timeouts of silence, 60 s."""
LISTENERS = {
    "api/acceptor.py",
    "api/hit_channel.py",
    "api/hit_server.py",
    "api/hit_servers.py",
    "api/server.py",
    "bootstrap/hit_server.py",
    "cli/context.py",
    "cli/serve.py",
    "bootstrap/commands.py",
    "bootstrap/server.py",
    # The machine's name, for the role of the coordinator.
    "bootstrap/local_library.py",
}
"""These accept connections or pass them to another process of the server, and open none."""
SIGNERS = {"aws/signature_v4a.py"}
"""awscrt signs a request that it does not send."""
CHILDREN = {"engine/worker/child_process.py", "engine/worker/channel.py"}
"""A pair of sockets with a child process, whose deadlines tests/engine/test_isolation_deadlines.py checks."""
PROBES = {"bootstrap/buckets.py"}
"""It only looks whether obstore is installed."""

STARTS = {
    "the head": b"HTTP/1.1 200 OK\r\nx: ",
    "the body": b"HTTP/1.1 500 Wrong\r\nContent-Length: 99\r\n"
    b'ETag: "1"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n',
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (credentials_module, "_TIMEOUT_SECONDS", SECONDS),
        (publish_function, "_TIMEOUT_SECONDS", SECONDS),
        (webhooks, "_TIMEOUT", SECONDS),
        (obstore_client, "_TOTAL_TIMEOUT", obstore_client.timedelta(seconds=SECONDS)),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("part", STARTS)
@pytest.mark.parametrize("call", [call for calls in WAITS.values() for call in calls])
def test_a_peer_that_drips_holds_nobody(call: Callable[[str], None], part: str) -> None:
    with dripping(STARTS[part]) as address:
        started = time.monotonic()
        with pytest.raises((Unavailable, OSError)):
            call(address)
        assert time.monotonic() - started < PATIENCE


def test_every_module_that_opens_connections_is_listed() -> None:
    found = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if NETWORK & imports(path)}
    assert found == {*WAITS, *RESOLVERS, *OPERATOR, *LISTENERS, *SIGNERS, *CHILDREN, *PROBES}


def imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs, at any place in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names
