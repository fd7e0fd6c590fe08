"""An update from each released template deletes or replaces nothing that holds data or is addressed."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from linters import Json, translated
from resolve import resolve
from stateful import PARAMETERS, losses, stateful

RELEASED = sorted(Path(__file__).with_name("released").glob("*.json"))


def current() -> dict[str, Json]:
    return stateful(resolve(translated(), **PARAMETERS))


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_an_update_loses_nothing(file: Path) -> None:
    assert list(losses(json.loads(file.read_text()), current())) == []


def test_the_releases_are_known() -> None:
    assert "0.1.0" in {file.stem for file in RELEASED}
    kinds = {row["type"] for row in json.loads(RELEASED[0].read_text()).values()}
    assert {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::ApiGateway::RestApi"} <= kinds


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        (lambda all_: all_.update(Table=all_.pop("CatalogTable")), "CatalogTable is deleted"),
        (lambda all_: all_["IngestQueue"].update(type="AWS::SNS::Topic"), "IngestQueue is replaced"),
        (lambda all_: all_["UploadBucket"]["fixed"].update(BucketName="x"), "UploadBucket is replaced"),
        (lambda all_: all_["CatalogTable"]["fixed"].update(KeySchema=[]), "CatalogTable is replaced"),
        (lambda all_: all_["CatalogTable"]["fixed"].update(TableName="records"), "CatalogTable is replaced"),
    ],
)
def test_a_loss_is_reported(change: Change, loss: str) -> None:
    changed = deepcopy(current())
    change(changed)
    (found,) = losses(current(), changed)
    assert found.startswith(loss)


def test_other_changes_are_no_loss() -> None:
    template = deepcopy(translated())
    template["Resources"]["IngestQueue"]["Properties"]["VisibilityTimeout"] = 900
    template["Resources"]["CatalogTable"]["Properties"]["GlobalSecondaryIndexes"].pop()
    assert list(losses(current(), stateful(resolve(template, **PARAMETERS)))) == []
