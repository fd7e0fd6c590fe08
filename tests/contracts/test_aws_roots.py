"""Whom a function trusts to vouch for AWS: Amazon alone, unless somebody says otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from image_processor.aws.roots import trust_amazon
from support.certificates import make_certificate
from support.scripted_http import Reply, scripted

ROOTS = Path(__file__)  # any file that exists


def trusted(environment: dict[str, str]) -> dict[str, str]:
    told = dict(environment)
    trust_amazon(told, str(ROOTS))
    return {name: value for name, value in told.items() if name not in environment}


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", "ap-southeast-7", "mx-central-1"])
@pytest.mark.parametrize("more", [{}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}])
def test_on_aws_it_is_amazon_alone(region: str, more: dict[str, str]) -> None:
    told = trusted({"AWS_REGION": region, **more})
    assert told == {"SSL_CERT_FILE": str(ROOTS), "SSL_CERT_DIR": str(ROOTS)}


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_REGION": "eu-west-1", "SSL_CERT_FILE": "/etc/ssl/mine.pem"},
        {"AWS_REGION": "eu-west-1", "SSL_CERT_DIR": "/etc/ssl/mine"},
        {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_S3": "https://minio.example"},
        {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "HTTPS://minio.example"},
        *(
            {"AWS_REGION": region}
            for region in ("cn-north-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1")
        ),
    ],
)
def test_what_somebody_says_and_what_others_vouch_for_stays(environment: dict[str, str]) -> None:
    assert trusted(environment) == {}


def test_without_the_file_the_system_is_trusted() -> None:
    told = {"AWS_REGION": "eu-west-1"}
    trust_amazon(told, "/no/such/roots.pem")
    assert told == {"AWS_REGION": "eu-west-1"}


# Asks an S3 on localhost by TLS, once by obstore and once by a signed request.
_ASKS = """
import json, os, sys
from image_processor.aws import roots
from image_processor.domain.errors import ImageProcessorError
given = json.loads(sys.argv[1])
roots.trust_amazon(os.environ, given["roots"])
if given["roots"]:
    assert os.environ["SSL_CERT_FILE"] == given["roots"]
from image_processor.storage.s3 import S3Store
store = S3Store("bucket", endpoint=given["endpoint"], region="eu-west-1")
told = []
for key in ("plain", "a//b"):
    try:
        told.append(store.get(key).body.decode())
    except ImageProcessorError as error:
        told.append(type(error).__name__)
print(json.dumps(told))
"""


@pytest.mark.parametrize(("known", "told"), [(True, ["pixels", "pixels"]), (False, ["Unavailable"] * 2)])
def test_both_ways_to_s3_obey(tmp_path: Path, known: bool, told: list[str]) -> None:  # noqa: FBT001
    """The server's authority is the one in the file, or one of which the file knows nothing."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "others").mkdir()
    context, certificate = make_certificate(tmp_path / "theirs")
    _, other = make_certificate(tmp_path / "others")
    headers = {"ETag": '"1"', "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}
    environment = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-west-1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with scripted(Reply(body=b"pixels", headers=headers), tls=context) as script:
        given = {"roots": str(certificate if known else other), "endpoint": script.address}
        done = subprocess.run(
            [sys.executable, "-c", _ASKS, json.dumps(given)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == told
    assert bool(script.seen) == known
