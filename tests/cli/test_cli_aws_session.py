"""Credentials of an operator: profiles, roles and processes of the AWS config file, against emulated AWS."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from image_processor.bootstrap.operator_access import access_from
from image_processor.catalog.dynamodb import DynamoCatalog
from image_processor.cli import aws_session
from image_processor.cli.aws_session import open_session
from image_processor.domain.errors import Invalid, InvalidSettings, MissingExtra, Unavailable
from support import aws

OTHER_ACCOUNT = "222222222222"
ROLE = f"arn:aws:iam::{OTHER_ACCOUNT}:role/operator"


@pytest.fixture(autouse=True)
def config(monkeypatch, tmp_path):
    """An empty AWS config file, and nothing of AWS in the environment; gives the file."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    file = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    return file


def keys_of(session):
    found = session.get_credentials().get_frozen_credentials()
    return found.access_key, found.secret_key, found.token


def test_a_profile_has_keys_and_a_region(config):
    config.write_text(
        "[profile team]\naws_access_key_id = A\naws_secret_access_key = B\nregion = eu-west-1\n"
    )
    session = open_session("team", None)
    assert keys_of(session) == ("A", "B", None)
    assert session.region_name == "eu-west-1"


def test_the_profile_of_the_environment_is_used(config, monkeypatch):
    config.write_text("[profile team]\naws_access_key_id = A\naws_secret_access_key = B\n")
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    session = open_session(None, None)
    assert (keys_of(session)[0], session.region_name) == ("A", "eu-west-2")


def test_the_option_precedes_the_regions_of_environment_and_profile(config, monkeypatch):
    config.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert open_session(None, "eu-west-3").region_name == "eu-west-3"
    assert open_session(None, None).region_name == "eu-west-2"


def test_a_program_of_the_config_file_gives_credentials_and_refreshes_them(config, tmp_path):
    """Each run of the program gives another key, which expires soon enough to be refreshed."""
    expires = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    program = tmp_path / "program.py"
    program.write_text(
        "import json, pathlib\n"
        f"runs = pathlib.Path({str(tmp_path / 'runs')!r})\n"
        "count = len(runs.read_text()) if runs.exists() else 0\n"
        "runs.write_text('x' * (count + 1))\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'KEY{count}', 'SecretAccessKey': 'B',"
        f" 'SessionToken': 'C', 'Expiration': {expires!r}}}))\n"
    )
    config.write_text(
        f"[profile team]\ncredential_process = {sys.executable} {program}\nregion = eu-west-1\n"
    )
    access = access_from(open_session("team", None))
    first, second = access.credentials(), access.credentials()
    assert (access.region, first.secret_access_key, first.token) == ("eu-west-1", "B", "C")
    assert first.access_key_id != second.access_key_id
    assert first.expires_at > datetime.now(UTC)


@pytest.fixture
def role(config, monkeypatch):
    """A profile that assumes a role of another account, in the emulation."""
    config.write_text(
        "[profile base]\naws_access_key_id = test\naws_secret_access_key = test\n"
        f"[profile other]\nrole_arn = {ROLE}\nsource_profile = base\nregion = {aws.REGION}\n"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.address())


@pytest.mark.usefixtures("role")
def test_an_assumed_role_reads_buckets_and_table_of_another_account(run, monkeypatch):
    """The table exists in the account of the role only."""
    buckets = aws.make_bucket(aws.address()), aws.make_bucket(aws.address())
    monkeypatch.setenv("IMAGE_PROCESSOR_UPLOAD_BUCKET", buckets[0])
    monkeypatch.setenv("IMAGE_PROCESSOR_PROCESSED_BUCKET", buckets[1])
    access = access_from(open_session("other", None))
    table = f"test-{uuid.uuid4().hex}"
    DynamoCatalog(table, region=access.region, credentials=access.credentials).create_table()
    monkeypatch.setenv("IMAGE_PROCESSOR_TABLE", table)
    assert run("reconcile", "--aws", "--here", "--profile", "other") == (0, "0 found\n", "")
    status, _, err = run("reconcile", "--aws", "--here", "--profile", "base", "--region", aws.REGION)
    assert (status, "ResourceNotFoundException" in err) == (3, True)


@pytest.mark.usefixtures("role")
def test_an_assumed_role_reads_a_queue_of_another_account(run):
    client = boto3.Session(profile_name="other").client("sqs")
    url = client.create_queue(QueueName="dead")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="[]")
    status, out, err = run("dead-letters", "list", "--from", url, "--profile", "other", "--json")
    assert (status, err, out.count("malformed")) == (0, "", 1)
    status, _, err = run("dead-letters", "list", "--from", url, "--profile", "base", "--region", aws.REGION)
    assert (status, err.startswith("error: there is no queue")) == (2, True)


def test_an_unknown_profile_is_named():
    with pytest.raises(Invalid, match="expected a profile of the AWS config file for --profile"):
        open_session("nobody", None)


def test_missing_credentials_and_region_are_named_together():
    with pytest.raises(InvalidSettings) as caught:
        open_session(None, None)
    assert [problem.name for problem in caught.value.problems] == ["--profile", "--region"]


def test_credentials_that_cannot_be_fetched_end_with_3(run, config):
    config.write_text("[profile team]\ncredential_process = false\nregion = eu-west-1\n")
    with pytest.raises(Unavailable, match="no AWS credentials: "):
        open_session("team", None)
    url = "https://sqs.eu-west-1.amazonaws.com/1/dead"
    status, out, err = run("dead-letters", "list", "--from", url, "--profile", "team")
    assert (status, out) == (3, "")
    assert err.startswith("error: no AWS credentials: ")


def test_without_boto3_the_extra_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra):
        aws_session.open_session(None, None)
    status, _, err = run("dead-letters", "list", "--from", "https://sqs.eu-west-1.amazonaws.com/1/dead")
    assert status == 4
    assert "expected boto3 to be installed" in err
    assert "pip install 'image-processor[operator]'" in err
