"""The functions as Lambda loads them: what a cold start pays for, and all three over emulated S3."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway import proxy_event
from PIL import Image

import image_processor
from hostile.bombs import jpeg_of
from image_processor import aws_lambda as app
from image_processor.bootstrap.aws import open_aws_context
from image_processor.catalog.dynamodb import DynamoCatalog
from image_processor.catalog.objects import PREFIX, ObjectCatalog
from image_processor.domain.errors import InvalidRecipe, InvalidSettings, Reason
from image_processor.domain.keys import image_id
from image_processor.domain.models import Status, Upload
from image_processor.domain.ports import Attributes
from image_processor.storage.s3 import S3Store
from support import aws
from support.scripted_http import Reply, scripted
from test_imports import HEAVY

RECIPE = """
[presets.small]
width = 8
formats = ["png"]
[[rules]]
match = "**"
presets = ["small"]
"""
RENDITION = "a cat.png/w=8,fm=png.png"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the template and Lambda tell a function. This process is told what Lambda tells."""
    endpoint = aws.address()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    told = {
        "AWS_REGION": aws.REGION,
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_SESSION_TOKEN": "emulated",
        "AWS_ENDPOINT_URL": endpoint,
        "IMAGE_PROCESSOR_UPLOAD_BUCKET": aws.make_bucket(endpoint),
        "IMAGE_PROCESSOR_PROCESSED_BUCKET": aws.make_bucket(endpoint),
        "IMAGE_PROCESSOR_RECIPE": str(tmp_path / "recipe.toml"),
    }
    for name in [name for name in os.environ if name.startswith(("AWS_", "IMAGE_PROCESSOR_"))]:
        monkeypatch.delenv(name)
    for name, value in told.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return told


@pytest.fixture
def functions(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the functions, as a new execution environment has it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _forget()
    yield app
    _forget()


def _forget() -> None:
    for made in (app._cloud, *app._OPENERS.values()):
        made.cache_clear()


class Context:
    """What a function asks of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def put_picture(environment: dict[str, str], folder: Path, key: str) -> None:
    Image.effect_noise((16, 12), 50).save(folder / "picture.png")
    store = S3Store(environment["IMAGE_PROCESSOR_UPLOAD_BUCKET"])
    store.put(key, (folder / "picture.png").read_bytes(), Attributes("image/png"))


def requested(path: str) -> dict[str, Any]:
    return {"rawPath": path, "headers": {}, "requestContext": {"http": {"method": "GET"}}}


@pytest.mark.usefixtures("event_loop")
def test_the_three_functions_work_on_the_same_image(
    functions: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    put_picture(environment, tmp_path, "a cat.png")
    bucket = environment["IMAGE_PROCESSOR_UPLOAD_BUCKET"]
    event = {"bucket": {"name": bucket}, "object": {"key": "a+cat.png"}}
    notification = {"Records": [{"eventName": "ObjectCreated:Put", "s3": event}]}
    assert functions.process(notification, Context()) == {"results": ["processed"]}

    served = functions.deliver(requested("/a%20cat.png/w=8,fm=png.png"), Context())
    stored = S3Store(environment["IMAGE_PROCESSOR_PROCESSED_BUCKET"]).get(RENDITION)
    assert (served["statusCode"], base64.b64decode(served["body"])) == (200, stored.body)

    answer = functions.api(proxy_event("POST", "/images", {"bucket": bucket, "key": "a cat.png"}), Context())
    image = json.loads(answer["body"])
    assert (answer["statusCode"], image["status"], image["processed"]) == (200, "processed", RENDITION)
    listed = functions.api(proxy_event("GET", "/images"), Context())
    assert json.loads(listed["body"])["images"] == [image]


def test_a_rendition_nobody_made_is_made_for_its_first_request(
    functions: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    put_picture(environment, tmp_path, "a cat.png")
    assert functions.deliver(requested("/a%20cat.png/w=8,fm=png.png"), Context())["statusCode"] == 200
    assert functions.deliver(requested("/none.png/w=8,fm=png.png"), Context())["statusCode"] == 404


# Hands one event to the process function of a fresh interpreter.
_PROCESS = """
import json, sys
from image_processor import aws_lambda as app
class Context:
    get_remaining_time_in_millis = staticmethod(lambda: 120_000)
print(json.dumps(app.process(json.loads(sys.argv[1]), Context())))
"""


def test_a_slow_original_takes_the_function_down_once_and_is_then_refused(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends the first try long before the function's timeout; the second is made apart."""
    monkeypatch.setenv("IMAGE_PROCESSOR_CPU_SECONDS", "1")
    monkeypatch.setenv("IMAGE_PROCESSOR_MAX_SCANS", "10000")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    bucket = environment["IMAGE_PROCESSOR_UPLOAD_BUCKET"]
    S3Store(bucket).put("slow.jpg", jpeg_of(8000, 3000), Attributes("image/jpeg"))
    body = json.dumps({"bucket": bucket, "key": "slow.jpg"})

    def received(times: int) -> subprocess.CompletedProcess[str]:
        about = {"ApproximateReceiveCount": str(times)}
        record = {"eventSource": "aws:sqs", "messageId": "m", "attributes": about, "body": body}
        command = [sys.executable, "-c", _PROCESS, json.dumps({"Records": [record]})]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    processed = S3Store(environment["IMAGE_PROCESSOR_PROCESSED_BUCKET"])
    id_ = image_id(bucket, "slow.jpg")
    assert received(1).returncode == -signal.SIGXCPU
    processed.delete(f"{PREFIX}{id_}.json")  # as if the dead one's claim had come to its end
    done = received(2)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"batchItemFailures": []}
    record = ObjectCatalog(processed).get(id_)
    assert record is not None
    assert (record.status, record.reason) == (Status.REFUSED, Reason.TOO_SLOW)


# Runs one function of a fresh interpreter and tells what it has loaded by then.
_LOADED = """
import json, sys
from image_processor import aws_lambda as app
event, heavy = json.loads(sys.argv[2]), json.loads(sys.argv[3])
class Context:
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)
answer = getattr(app, sys.argv[1])(event, Context())
print(json.dumps([answer, sorted(set(heavy) & set(sys.modules))]))
"""


@pytest.mark.parametrize(
    ("function", "event", "loaded"),
    [
        ("process", {"bucket": "BUCKET", "key": "a cat.png"}, set()),
        ("deliver", requested("/a%20cat.png/w=8,fm=png.png"), set()),
        (
            "api",
            proxy_event("GET", "/health"),
            {"anyio", "fastapi", "mangum", "pydantic", "starlette"},
        ),
    ],
)
def test_each_function_loads_only_what_it_needs(
    environment: dict[str, str], tmp_path: Path, function: str, event: Any, loaded: set[str]
) -> None:
    put_picture(environment, tmp_path, "a cat.png")
    told = json.dumps(event).replace("BUCKET", environment["IMAGE_PROCESSOR_UPLOAD_BUCKET"])
    unwanted = json.dumps([*sorted(HEAVY), "image_processor.aws.invalidation"])
    done = _run("-c", _LOADED, function, told, unwanted, **environment)
    assert done.returncode == 0, done.stderr
    answer, found = json.loads(done.stdout.splitlines()[-1])
    assert answer == {"results": ["processed"]} or answer["statusCode"] == 200
    assert set(found) == loaded


# Imports what Lambda would and tells what exists then.
_INIT = """
from image_processor import aws_lambda as app
print(*(name for name, opener in app._OPENERS.items() if opener.cache_info().currsize))
"""


@pytest.mark.parametrize(
    ("handler", "kind", "recipe", "made"),
    [
        ("process", "on-demand", None, "process"),
        ("deliver", "provisioned-concurrency", None, "deliver"),
        ("api", "on-demand", None, "api"),
        ("api", "snap-start", None, "api"),
        ("wrapped", "on-demand", None, ""),
        ("process", "snap-start", "s3://recipes/recipe.toml", ""),
    ],
)
def test_what_an_invocation_would_wait_for_is_made_in_the_init_phase(
    environment: dict[str, str], handler: str, kind: str, recipe: str | None, made: str
) -> None:
    told = {"AWS_LAMBDA_INITIALIZATION_TYPE": kind, "_HANDLER": f"image_processor.aws_lambda.{handler}"}
    if recipe:
        told["IMAGE_PROCESSOR_RECIPE"] = recipe
    assert _run("-c", _INIT, **environment | told).stdout.strip() == made


# Imports what Lambda would, and tells whether libvips was loaded by then, and whether it is after what
# was left to another thread, which is held back so long.
_ENGINE = """
import sys, threading
begin, threads = threading.Thread.start, []
threading.Thread.start = lambda thread: threads.append(thread)
from image_processor import aws_lambda as app
print("image_processor.engine.render" in sys.modules, len(threads))
for thread in threads:
    begin(thread)
    thread.join()
print("image_processor.engine.render" in sys.modules)
"""


@pytest.mark.parametrize(
    ("handler", "kind", "loaded"),
    [
        ("process", "on-demand", ["False 1", "True"]),  # beside the first event
        ("process", "provisioned-concurrency", ["True 0", "True"]),
        ("process", "snap-start", ["True 0", "True"]),
        ("deliver", "on-demand", ["False 0", "False"]),  # what is stored needs none
        ("deliver", "snap-start", ["True 0", "True"]),
    ],
)
def test_libvips_is_loaded_before_it_is_needed_but_waits_for_nobody(
    environment: dict[str, str], handler: str, kind: str, loaded: list[str]
) -> None:
    told = {"AWS_LAMBDA_INITIALIZATION_TYPE": kind, "_HANDLER": f"image_processor.aws_lambda.{handler}"}
    assert _run("-c", _ENGINE, **environment | told).stdout.splitlines() == loaded


def test_a_stored_rendition_is_delivered_without_libvips(environment: dict[str, str], tmp_path: Path) -> None:
    put_picture(environment, tmp_path, "a cat.png")
    there = requested("/a%20cat.png/w=8,fm=png.png")
    for loaded in (["pyvips"], []):  # the first request has it made
        done = _run("-c", _LOADED, "deliver", json.dumps(there), '["pyvips"]', **environment)
        answer, found = json.loads(done.stdout.splitlines()[-1])
        assert (answer["statusCode"], found) == (200, loaded)


def test_a_wrong_setting_ends_the_start_and_is_named(environment: dict[str, str]) -> None:
    init = {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "_HANDLER": "image_processor.aws_lambda.process"}
    done = _run("-c", _INIT, **environment, **init, IMAGE_PROCESSOR_MAX_BYTES="many")
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected 1-4096 for IMAGE_PROCESSOR_MAX_BYTES, got 'many'" in done.stderr


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(image_processor.__file__).parent.parent)
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": source, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"UPLOAD_BUCKET": None}, "expected a bucket name for IMAGE_PROCESSOR_UPLOAD_BUCKET, got nothing"),
        (
            {"UPLOAD_BUCKET": "same-bucket", "PROCESSED_BUCKET": "same-bucket"},
            "expected another bucket than IMAGE_PROCESSOR_UPLOAD_BUCKET's",
        ),
        ({"RECIPE": "s3://bucket-alone"}, "expected a path, or s3://BUCKET/KEY for IMAGE_PROCESSOR_RECIPE"),
        ({"RECIPE": "s3:///key"}, "expected a path, or s3://BUCKET/KEY for IMAGE_PROCESSOR_RECIPE"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(
    environment: dict[str, str], changed: dict[str, str | None], message: str
) -> None:
    told = environment | {f"IMAGE_PROCESSOR_{name}": value for name, value in changed.items()}
    with pytest.raises(InvalidSettings) as caught:
        open_aws_context({name: value for name, value in told.items() if value is not None})
    assert message in str(caught.value)


def test_the_recipe_may_lie_in_a_bucket(environment: dict[str, str]) -> None:
    bucket = environment["IMAGE_PROCESSOR_PROCESSED_BUCKET"]
    S3Store(bucket).put("conf/recipe.toml", RECIPE.encode(), Attributes())
    environment["IMAGE_PROCESSOR_RECIPE"] = f"s3://{bucket}/conf/recipe.toml"
    assert list(map(str, open_aws_context(environment).recipe.transformations_for("a.png"))) == ["w=8,fm=png"]


@pytest.mark.parametrize(
    ("body", "message"),
    [(None, "got none"), (b"\xff", "utf-8"), (b"[presets", "line 1")],
)
def test_a_recipe_that_cannot_be_used_is_named(
    environment: dict[str, str], body: bytes | None, message: str
) -> None:
    bucket = environment["IMAGE_PROCESSOR_PROCESSED_BUCKET"]
    if body is not None:
        S3Store(bucket).put("recipe.toml", body, Attributes())
    environment["IMAGE_PROCESSOR_RECIPE"] = f"s3://{bucket}/recipe.toml"
    with pytest.raises(InvalidRecipe, match=message):
        open_aws_context(environment)


def test_a_cdn_forgets_what_changed(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(Reply(201)) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", script.address)
        cloud = open_aws_context(environment | {"IMAGE_PROCESSOR_DISTRIBUTION": "E2EXAMPLE"})
        for _ in range(2):
            put_picture(environment, tmp_path, "a cat.png")
            cloud.process(Upload(cloud.bucket, "a cat.png"))
    assert [seen.body.count(b"<Path>/a%20cat.png*</Path>") for seen in script.seen] == [1]


def test_records_are_kept_where_the_settings_say(environment: dict[str, str]) -> None:
    assert isinstance(open_aws_context(environment).catalog, ObjectCatalog)
    assert isinstance(open_aws_context(environment | {"IMAGE_PROCESSOR_TABLE": "t"}).catalog, DynamoCatalog)
