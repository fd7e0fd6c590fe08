"""The functions as Lambda loads them: what a cold start imports, and all three over emulated S3."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gateway import proxy_event
from PIL import Image

import image_processor
from hostile.bombs import jpeg_of
from image_processor import aws_lambda as app
from image_processor.aws_lambda.process_function import RetryLater
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
    """The variables of the template and of Lambda. Lambda's own are set in this process too."""
    endpoint = aws.address()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    variables = {
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
    for name, value in variables.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def functions(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the functions, as a new execution environment has it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _clear_caches()
    yield app
    _clear_caches()


def _clear_caches() -> None:
    for cached in (app._context, *app._OPENERS.values()):
        cached.cache_clear()


class Context:
    """The part of Lambda's context that functions use."""

    def __init__(self, seconds: int = 60) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return 1000 * self._seconds


def put_picture(environment: dict[str, str], folder: Path, key: str, sigma: int = 50) -> None:
    Image.effect_noise((16, 12), sigma).save(folder / "picture.png")
    store = S3Store(environment["IMAGE_PROCESSOR_UPLOAD_BUCKET"])
    store.put(key, (folder / "picture.png").read_bytes(), Attributes("image/png"))


def requested(path: str) -> dict[str, Any]:
    return {"rawPath": path, "headers": {}, "requestContext": {"http": {"method": "GET"}}}


@pytest.mark.parametrize("name", ["process", "deliver", "api"])
def test_the_handlers_of_version_0_1_still_work(environment: dict[str, str], name: str) -> None:
    """Deprecated: a stack may still name `image_processor.app.process` in 0.2."""
    handler = f"image_processor.app.{name}"
    init = {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "_HANDLER": handler}
    program = (
        f"from {handler.rpartition('.')[0]} import {name} as old\n{_INIT}print(old is getattr(app, {name!r}))"
    )
    done = _run("-c", program, **environment | init)
    assert done.stdout.split() == [name, "True"], done.stderr


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


def test_a_missing_rendition_is_rendered_at_its_first_request(
    functions: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    put_picture(environment, tmp_path, "a cat.png")
    assert functions.deliver(requested("/a%20cat.png/w=8,fm=png.png"), Context())["statusCode"] == 200
    assert functions.deliver(requested("/none.png/w=8,fm=png.png"), Context())["statusCode"] == 404


def test_requests_of_a_function_are_repeated_within_its_invocation_and_less_often_while_a_client_waits(
    functions: Any, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_processor.aws.client._random", lambda: 1)
    pauses: list[float] = []
    # The module's name for it alone: other threads sleep, too.
    monkeypatch.setattr("image_processor.aws.client.time", SimpleNamespace(sleep=pauses.append))
    monkeypatch.setattr("image_processor.aws.retries.monotonic", lambda: sum(pauses))
    throttled = Reply(400, b'{"__type": "ThrottlingException"}')
    bucket = environment["IMAGE_PROCESSOR_UPLOAD_BUCKET"]
    s3 = {"bucket": {"name": bucket}, "object": {"key": "gone.png"}}
    notification = {"Records": [{"eventName": "ObjectRemoved:Delete", "s3": s3}]}
    with scripted(throttled) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", script.address)
        monkeypatch.setenv("IMAGE_PROCESSOR_TABLE", "table")
        with pytest.raises(RetryLater, match="dynamodb cannot answer: throttled"):
            functions.process(notification, Context(seconds=7))
        assert pauses == [1, 2]  # another 4 s would use up the 7 s
        with pytest.raises(RetryLater):
            functions.process(notification, Context(seconds=60))
        assert pauses[2:] == [1, 2, 4, 8]
        assert functions.api(proxy_event("GET", "/images"), Context())["statusCode"] == 503
        assert pauses[6:] == [1]


# Hands one event to the process function of a fresh interpreter.
_PROCESS = """
import json, sys
from image_processor import aws_lambda as app
class Context:
    get_remaining_time_in_millis = staticmethod(lambda: 120_000)
print(json.dumps(app.process(json.loads(sys.argv[1]), Context())))
"""


def test_a_slow_original_ends_the_function_once_and_is_then_refused(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends the first try long before the function's timeout; the second has a child process."""
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
    processed.delete(f"{PREFIX}{id_}.json")  # as if the dead function's lease had expired
    done = received(2)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"batchItemFailures": []}
    record = ObjectCatalog(processed).get(id_)
    assert record is not None
    assert (record.status, record.reason) == (Status.REFUSED, Reason.TOO_SLOW)


# Runs one function in a fresh interpreter and prints which modules it has imported.
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
def test_each_function_imports_only_what_it_needs(
    environment: dict[str, str], tmp_path: Path, function: str, event: Any, loaded: set[str]
) -> None:
    put_picture(environment, tmp_path, "a cat.png")
    variables = json.dumps(event).replace("BUCKET", environment["IMAGE_PROCESSOR_UPLOAD_BUCKET"])
    unwanted = json.dumps([*sorted(HEAVY), "image_processor.aws.invalidation"])
    done = _run("-c", _LOADED, function, variables, unwanted, **environment)
    assert done.returncode == 0, done.stderr
    answer, found = json.loads(done.stdout.splitlines()[-1])
    assert answer == {"results": ["processed"]} or answer["statusCode"] == 200
    assert set(found) == loaded


# Imports what Lambda would, and prints which functions are open then.
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
def test_the_init_phase_opens_the_function(
    environment: dict[str, str], handler: str, kind: str, recipe: str | None, made: str
) -> None:
    variables = {"AWS_LAMBDA_INITIALIZATION_TYPE": kind, "_HANDLER": f"image_processor.aws_lambda.{handler}"}
    if recipe:
        variables["IMAGE_PROCESSOR_RECIPE"] = recipe
    assert _run("-c", _INIT, **environment | variables).stdout.strip() == made


# Imports what Lambda would. Prints whether libvips was loaded by then and how many threads were started,
# which are held back; then lets them run, and prints again.
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
        ("deliver", "on-demand", ["False 0", "False"]),  # a stored rendition does not need it
        ("deliver", "snap-start", ["False 0", "False"]),  # this process never needs it
        ("deliver", "provisioned-concurrency", ["False 0", "False"]),
    ],
)
def test_libvips_is_loaded_ahead_without_delaying_the_event(
    environment: dict[str, str], handler: str, kind: str, loaded: list[str]
) -> None:
    variables = {"AWS_LAMBDA_INITIALIZATION_TYPE": kind, "_HANDLER": f"image_processor.aws_lambda.{handler}"}
    assert _run("-c", _ENGINE, **environment | variables).stdout.splitlines() == loaded


@pytest.mark.parametrize(("kind", "started"), [("on-demand", 1), ("snap-start", 0)])
def test_a_required_sandbox_starts_a_child_ahead_and_loads_libvips_in_it_only(
    environment: dict[str, str], kind: str, started: int
) -> None:
    program = """
import subprocess, sys
started = []
subprocess.Popen = lambda *_, **__: started.append(1)
from image_processor import aws_lambda
print(len(started), "image_processor.engine.render" in sys.modules)
"""
    variables = {"AWS_LAMBDA_INITIALIZATION_TYPE": kind, "_HANDLER": "image_processor.aws_lambda.process"}
    done = _run("-c", program, **environment | variables, IMAGE_PROCESSOR_SANDBOX="required")
    assert done.stdout.split() == [str(started), "False"], done.stderr


def test_a_stored_rendition_is_delivered_without_libvips(environment: dict[str, str], tmp_path: Path) -> None:
    put_picture(environment, tmp_path, "a cat.png")
    there = requested("/a%20cat.png/w=8,fm=png.png")
    for _ in ("rendered in a child process", "stored"):
        done = _run("-c", _LOADED, "deliver", json.dumps(there), '["pyvips"]', **environment)
        answer, found = json.loads(done.stdout.splitlines()[-1])
        assert (answer["statusCode"], found) == (200, [])


def test_an_invalid_setting_fails_the_init_phase_and_is_named(environment: dict[str, str]) -> None:
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
        (
            {"REMOTE_SOURCES": "shop/=https://cdn.example/photos/"},
            "expected nothing on AWS: only the server of one machine fetches from remote sources for IMAGE",
        ),
        ({"RECIPE": "s3:///key"}, "expected a path, or s3://BUCKET/KEY for IMAGE_PROCESSOR_RECIPE"),
    ],
)
def test_conflicting_settings_are_named(
    environment: dict[str, str], changed: dict[str, str | None], message: str
) -> None:
    variables = environment | {f"IMAGE_PROCESSOR_{name}": value for name, value in changed.items()}
    with pytest.raises(InvalidSettings) as caught:
        open_aws_context({name: value for name, value in variables.items() if value is not None})
    assert message in str(caught.value)


def test_the_recipe_can_be_in_a_bucket(environment: dict[str, str]) -> None:
    bucket = environment["IMAGE_PROCESSOR_PROCESSED_BUCKET"]
    S3Store(bucket).put("conf/recipe.toml", RECIPE.encode(), Attributes())
    environment["IMAGE_PROCESSOR_RECIPE"] = f"s3://{bucket}/conf/recipe.toml"
    assert list(map(str, open_aws_context(environment).recipe.transformations_for("a.png"))) == ["w=8,fm=png"]


@pytest.mark.parametrize(
    ("body", "message"),
    [(None, "got none"), (b"\xff", "utf-8"), (b"[presets", "line 1")],
)
def test_an_unusable_recipe_is_named(environment: dict[str, str], body: bytes | None, message: str) -> None:
    bucket = environment["IMAGE_PROCESSOR_PROCESSED_BUCKET"]
    if body is not None:
        S3Store(bucket).put("recipe.toml", body, Attributes())
    environment["IMAGE_PROCESSOR_RECIPE"] = f"s3://{bucket}/recipe.toml"
    with pytest.raises(InvalidRecipe, match=message):
        open_aws_context(environment)


def test_a_change_is_invalidated_in_the_cdn(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(Reply(201)) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", script.address)
        cloud = open_aws_context(environment | {"IMAGE_PROCESSOR_DISTRIBUTION": "E2EXAMPLE"})
        for _ in range(2):
            put_picture(environment, tmp_path, "a cat.png")
            cloud.process(Upload(cloud.bucket, "a cat.png"))
    assert [seen.body.count(b"<Path>/a%20cat.png*</Path>") for seen in script.seen] == [1]


def test_a_change_is_queued_for_invalidation_and_put_on_the_bus(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = b'{"Successful": [{"Id": "0"}], "Entries": [{"EventId": "1"}]}'
    queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/invalidations"
    settings = {
        "IMAGE_PROCESSOR_INVALIDATION_QUEUE": queue,
        "IMAGE_PROCESSOR_EVENT_BUS": "ours",
        "IMAGE_PROCESSOR_PUBLIC_URL": "https://img.example",
    }
    with scripted(*[Reply(200, accepted)] * 4) as script:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", script.address)
        monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTS", script.address)
        cloud = open_aws_context(environment | settings)
        for size in (4, 5):
            put_picture(environment, tmp_path, "a cat.png", size)
            assert cloud.process(Upload(cloud.bucket, "a cat.png")).unsent == ()
    calls = [(seen.headers["x-amz-target"], json.loads(seen.body)) for seen in script.seen]
    assert sorted(target for target, _ in calls) == ["AWSEvents.PutEvents"] * 2 + [
        "AmazonSQS.SendMessageBatch"
    ]
    (invalidation,) = (body for target, body in calls if target.startswith("AmazonSQS"))
    assert invalidation["QueueUrl"] == queue
    assert json.loads(invalidation["Entries"][0]["MessageBody"])["key"] == "a cat.png"
    events = [json.loads(body["Entries"][0]["Detail"]) for target, body in calls if target.startswith("AWS")]
    assert [event["data"]["revision"] for event in events] == [1, 2]
    assert events[0]["data"]["renditions"][0]["url"].startswith("https://img.example/a%20cat.png/w=8")
    assert not any(entry.unsent for entry in cloud.catalog.scan_entries())


def test_the_settings_choose_the_catalog(environment: dict[str, str]) -> None:
    assert isinstance(open_aws_context(environment).catalog, ObjectCatalog)
    assert isinstance(open_aws_context(environment | {"IMAGE_PROCESSOR_TABLE": "t"}).catalog, DynamoCatalog)
