"""`python -m benchmarks.dynamodb_clients`: the cost of a first signed request to DynamoDB, by client.

Each variant is a fresh Python that loads its client, signs one GetItem and reads the response of a
server on this machine, with and without TLS. The variants take turns. Printed are medians of wall and
CPU time beyond those of a Python that loads only what every catalog needs.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from support.certificates import make_certificate
from support.scripted_http import Reply, scripted

_ROUNDS = 21
_BASE = "base"

# The start of every program: the imports of any catalog, and the request to send.
_REQUEST = """
import sys
import image_processor.catalog.paging
import image_processor.catalog.rows
import image_processor.domain.keys
import image_processor.domain.ports
import uuid
url = sys.argv[1]
host = url.split("//")[1]
body = b'{"TableName": "t", "Key": {"id": {"S": "x"}}}'
headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.GetItem"}
"""
_HTTP_CLIENT = """
from http.client import HTTPConnection, HTTPSConnection
connection = (HTTPSConnection if url.startswith("https") else HTTPConnection)(host)
connection.request("POST", "/", body, headers)
answer = connection.getresponse()
answer.read()
assert answer.status == 200
"""
_BOTOCORE_SIGNER = """
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
request = AWSRequest("POST", url + "/", headers, body)
SigV4Auth(Credentials("a", "b"), "dynamodb", "eu-west-1").add_auth(request)
headers = dict(request.headers)
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """A program, and the installed libraries that it needs."""

    name: str
    program: str
    needs: tuple[str, ...] = ()


VARIANTS = (
    Variant(_BASE, ""),
    Variant(
        "ours",
        """
from image_processor.catalog.dynamodb import DynamoCatalog
assert DynamoCatalog("t", endpoint=url, region="eu-west-1").get("x") is None
""",
    ),
    Variant(
        "aws-request-signer + http.client",
        """
from hashlib import sha256
from aws_request_signer import AwsRequestSigner
signer = AwsRequestSigner("eu-west-1", "a", "b", "dynamodb")
headers |= signer.sign_with_headers("POST", url + "/", headers, sha256(body).hexdigest())
"""
        + _HTTP_CLIENT,
        ("aws_request_signer",),
    ),
    Variant(
        "awscrt, signer and HTTP",
        """
import os
from io import BytesIO
from awscrt import auth, http, io
name, port = host.split(":")
tls = None
if url.startswith("https"):
    options = io.TlsContextOptions()
    options.override_default_trust_store_from_path(None, os.environ["SSL_CERT_FILE"])
    tls = io.ClientTlsContext(options).new_connection_options()
    tls.set_server_name(name)
connection = http.HttpClientConnection.new(name, int(port), tls_connection_options=tls).result(10)
headers |= {"host": host, "content-length": str(len(body))}
request = http.HttpRequest("POST", "/", http.HttpHeaders(list(headers.items())), BytesIO(body))
config = auth.AwsSigningConfig(
    auth.AwsSigningAlgorithm.V4,
    auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
    auth.AwsCredentialsProvider.new_static("a", "b"),
    "eu-west-1",
    "dynamodb",
)
auth.aws_sign_request(request, config).result(10)
statuses = []
stream = connection.request(request, lambda status_code, **_: statuses.append(status_code), lambda **_: None)
stream.activate()
stream.completion_future.result(10)
assert statuses == [200]
""",
        ("awscrt",),
    ),
    Variant("botocore's signer + http.client", _BOTOCORE_SIGNER + _HTTP_CLIENT, ("botocore",)),
    Variant(
        "botocore's signer + urllib3",
        _BOTOCORE_SIGNER
        + """
import urllib3
assert urllib3.PoolManager().request("POST", url + "/", body=body, headers=headers).status == 200
""",
        ("botocore", "urllib3"),
    ),
    Variant(
        "boto3",
        """
import boto3
client = boto3.client("dynamodb", endpoint_url=url, region_name="eu-west-1")
client.get_item(TableName="t", Key={"id": {"S": "x"}})
""",
        ("boto3",),
    ),
)


def main() -> None:
    variants = [
        variant for variant in VARIANTS if all(importlib.util.find_spec(name) for name in variant.needs)
    ]
    for variant in VARIANTS:
        if variant not in variants:
            print(f"not installed, so left out: {', '.join(variant.needs)}")
    with tempfile.TemporaryDirectory() as folder:
        tls, certificate = make_certificate(Path(folder))
        trusted = Path(folder, "trusted.pem")
        trusted.write_bytes(_system_roots() + certificate.read_bytes())
        for title, context in (("plain HTTP", None), ("TLS", tls)):
            with scripted(Reply(body=b"{}"), tls=context) as script:
                _report(title, variants, script.address, trusted)


def _report(title: str, variants: Sequence[Variant], address: str, trusted: Path) -> None:
    times: dict[str, list[tuple[float, float]]] = {variant.name: [] for variant in variants}
    for number in range(_ROUNDS + 1):
        for variant in variants:
            costs = _run(variant, address, trusted)
            # The first round writes bytecode and fills the page cache.
            if number:
                times[variant.name].append(costs)
    medians = {name: (median(wall), median(cpu)) for name, (wall, cpu) in _columns(times).items()}
    base_wall, base_cpu = medians.pop(_BASE)
    print(f"\n{title}: ms beyond the base ({base_wall:.0f} wall, {base_cpu:.0f} CPU)")
    print(f"{'':<36}{'wall':>8}{'CPU':>8}")
    for name, (wall, cpu) in medians.items():
        print(f"{name:<36}{wall - base_wall:>8.1f}{cpu - base_cpu:>8.1f}")


def _columns(times: dict[str, list[tuple[float, float]]]) -> dict[str, tuple[list[float], list[float]]]:
    return {name: ([wall for wall, _ in rows], [cpu for _, cpu in rows]) for name, rows in times.items()}


def _system_roots() -> bytes:
    """The system's trusted certificates, which every TLS client loads at its start."""
    roots = ssl.get_default_verify_paths().cafile
    return Path(roots).read_bytes() if roots else b""


def _run(variant: Variant, address: str, trusted: Path) -> tuple[float, float]:
    """Milliseconds of wall and CPU time of a fresh process."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": str(trusted),
        "SSL_CERT_FILE": str(trusted),
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", _REQUEST + variant.program, address], env=environment, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


if __name__ == "__main__":
    main()
