"""The function `api` over fakes: events of API Gateway in, responses of the REST API out."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from gateway import CALLER, Api, proxy_event

from image_processor import __version__
from image_processor.api import aws_app
from image_processor.api import standalone_app as machine
from image_processor.api.app import create_app
from image_processor.api.work import MAX_LEASE_WAIT_SECONDS, InlineWork
from image_processor.bootstrap.delivery import build_read_path
from image_processor.domain.errors import FIXES, LeaseBusy, Reason, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import UploadKind
from support.ingest import BUCKET, IngestFixture, fake_render, upload

KEY = "photos/cat é.jpg"
ID = image_id(BUCKET, KEY)
IMAGE = "/images/{id}"


@pytest.fixture
def api(ingest: IngestFixture) -> Api:
    return Api(ingest)


def test_an_original_is_processed_in_the_request(api: Api) -> None:
    api.ingest.put(KEY, b"a cat")
    answer = api("POST", "/images", {"bucket": BUCKET, "key": KEY})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    image = answer.json
    assert (image["id"], image["bucket"], image["original"]) == (ID, BUCKET, KEY)
    assert image["status"] == "processed"
    assert {each["key"] for each in image["renditions"]} == set(api.ingest.processed.bodies())
    assert image["processed"] in {each["key"] for each in image["renditions"]}
    assert api.ingest.processed.bodies() == api.ingest.expected()


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("base", ["", "/pictures", "/deep/path"])
def test_a_custom_domain_or_an_encoded_body_changes_nothing(api: Api, base: str, encoded: bool) -> None:  # noqa: FBT001 - a case
    api.ingest.put(KEY, b"a cat")
    assert api("POST", "/images", {"key": KEY}, base=base, encoded=encoded).status == 200
    assert api("GET", f"/images/{ID}", resource=IMAGE, base=base).json["original"] == KEY
    assert api("GET", "/images", base=base).json["images"][0]["id"] == ID
    again = api("POST", f"/images/{ID}/reprocess", resource=IMAGE + "/reprocess", base=base)
    assert (again.status, again.json["id"]) == (200, ID)


def test_images_are_listed_by_their_ids(api: Api) -> None:
    api.ingest.put(KEY, b"a cat")
    api("POST", "/images", {"key": KEY})
    listing = api("GET", f"/images?ids={image_id(BUCKET, 'none')},{ID}&fields=renditions").json
    (image,) = listing["images"]
    assert set(image) == {"id", "bucket", "original", "status", "renditions"}
    assert len(image["renditions"]) == len(api.ingest.expected())


def test_similar_images_are_found(api: Api) -> None:
    for key in (KEY, "copy.jpg"):
        api.ingest.put(key, b"a cat")
        api("POST", "/images", {"key": key})
    answer = api("GET", f"/images/{ID}/similar?distance=0", resource=IMAGE + "/similar")
    assert [(each["image"]["original"], each["distance"]) for each in answer.json["images"]] == [
        ("copy.jpg", 0)
    ]
    wrong = api("GET", f"/images/{ID}/similar?distance=99", resource=IMAGE + "/similar")
    assert (wrong.status, wrong.json["detail"]) == (400, "expected 0-64 for distance, got 99")


def test_markup_has_the_urls_of_the_cdn(api: Api, ingest: IngestFixture) -> None:
    ingest.put(KEY, b"a cat")
    api("POST", "/images", {"key": KEY})
    path, resource = f"/images/{ID}/markup", IMAGE + "/markup"
    nowhere = Api(ingest)("GET", path, resource=resource)
    assert (nowhere.status, nowhere.json["problems"][0]["name"]) == (400, "base")
    reported = Api(ingest, public_url="https://cdn.example")("GET", path, resource=resource).json
    assert 'src="https://cdn.example/photos/cat%20%C3%A9.jpg/w=10,fm=jpeg.jpg"' in reported["img"]


def test_renditions_have_urls_with_a_cdn(ingest: IngestFixture) -> None:
    ingest.put(KEY, b"a cat")
    bare = Api(ingest)("POST", "/images", {"key": KEY}).json
    assert {each["url"] for each in bare["renditions"]} == {None}
    urls = Api(ingest, public_url="https://cdn.example")("POST", "/images", {"key": KEY}).json["renditions"]
    addresses = {each["url"].partition("?v=")[0] for each in urls}
    assert "https://cdn.example/photos/cat%20%C3%A9.jpg/w=10,fm=webp.webp" in addresses


def test_a_refused_original_has_a_reason_a_fix_and_a_record(api: Api) -> None:
    api.ingest.put("notes.txt", b"bad text")
    answer = api("POST", "/images", {"key": "notes.txt"})
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert (answer.json["code"], answer.json["reason"]) == ("refused", "not-an-image")
    assert answer.json["fix"] == FIXES[Reason.NOT_AN_IMAGE]
    assert answer.json["image"]["status"] == "refused"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, {"key"}),
        ({"key": 5, "bucket": [], "size": 1}, {"key", "bucket", "size"}),
        ({"key": "../up.jpg", "bucket": "other"}, {"key", "bucket"}),
        ({"key": "a.jpg", "bucket": "other"}, {"bucket"}),
        ([], {"the body"}),
        (r'{"key": "a.jpg", "bucket": "\ud800"}', {"bucket"}),
        (r'{"key": "a.jpg", "\ud800": 1}', {"the body"}),
        ("{", {"the body"}),
    ],
)
def test_an_invalid_body_is_400_with_every_problem(api: Api, body: Any, names: set[str]) -> None:
    api.ingest.put("a.jpg", b"a")
    answer = api("POST", "/images", body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert {each["name"] for each in answer.json["problems"]} == names
    assert api.ingest.processed.bodies() == {}


def test_another_bucket_is_an_error_that_names_ours(api: Api) -> None:
    answer = api("POST", "/images", {"key": "a.jpg", "bucket": "other"})
    assert answer.json["detail"] == f"expected {BUCKET} for bucket, got other"


def test_missing_resources_are_404(api: Api) -> None:
    assert api("POST", "/images", {"key": "none.jpg"}).status == 404
    assert api("GET", f"/images/{ID}", resource=IMAGE).status == 404
    assert api("DELETE", f"/images/{ID}", resource=IMAGE).status == 404
    assert api("GET", "/renditions/a", resource="/renditions/a").status == 404


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", "/uploads/a.jpg"),
        ("POST", "/uploads/from-url"),
        ("POST", "/resumable"),
        ("GET", "/events"),
        ("POST", "/samples"),
        ("GET", "/"),
        ("GET", "/static/studio.js"),
    ],
)
def test_routes_of_the_server_are_404(api: Api, method: str, url: str) -> None:
    assert api(method, url).status == 404


def test_only_json_is_read_as_json(api: Api) -> None:
    for url in ("/images", "/uploads"):
        answer = api("POST", url, '{"key": "a.jpg"}', headers={"Content-Type": "text/plain"})
        assert answer.status == 415


def test_retryable_errors_are_503(ingest: IngestFixture) -> None:
    def busy(_: object) -> None:
        raise Unavailable("dynamodb cannot answer: throttled")

    ingest.put("a.jpg", b"a")
    answer = Api(ingest, busy)("POST", "/images", {"key": "a.jpg"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unexpected_error_reveals_no_details(
    ingest: IngestFixture, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("secret")

    ingest.put("a.jpg", b"a")
    answer = Api(ingest, broken)("POST", "/images", {"key": "a.jpg"})
    assert (answer.status, answer.json["code"]) == (500, "internal-server-error")
    assert "secret" not in answer.body
    assert "secret" in caplog.text
    request, embedded = map(json.loads, capsys.readouterr().out.splitlines())
    assert (request["level"], embedded["ServerErrors"]) == ("ERROR", 1)


def test_deleting_removes_original_renditions_and_record(api: Api) -> None:
    api.ingest.put(KEY, b"a cat")
    api("POST", "/images", {"key": KEY})
    answer = api("DELETE", f"/images/{ID}", resource=IMAGE)
    assert (answer.status, answer.body) == (204, "")
    assert api.ingest.uploads.bodies() == api.ingest.processed.bodies() == {}
    assert api.ingest.record(KEY) is None


def test_reprocessing_returns_the_new_renditions(api: Api) -> None:
    api.ingest.put(KEY, b"a cat")
    api("POST", "/images", {"key": KEY})
    again = api("POST", f"/images/{ID}/reprocess", resource=IMAGE + "/reprocess")
    assert again.status == 200
    record = api.ingest.record(KEY)
    assert record is not None
    assert record.revision == 2


def test_a_listing_takes_its_filters_from_the_query(api: Api) -> None:
    for key in ("a/1", "a/2", "b/1"):
        api.ingest.put(key, b"x")
        api("POST", "/images", {"key": key})
    page = api("GET", "/images?prefix=a%2F&limit=1").json
    rest = api("GET", f"/images?prefix=a%2F&cursor={page['cursor']}").json
    assert sorted(image["original"] for image in page["images"] + rest["images"]) == ["a/1", "a/2"]
    wrong = api("GET", "/images?limit=0&status=done")
    assert {each["name"] for each in wrong.json["problems"]} == {"limit", "status"}


def test_health_and_recipe(api: Api) -> None:
    assert api("GET", "/health").json == {
        "status": "ok",
        "version": __version__,
        "uploads": BUCKET,
        "max_bytes": api.settings.limits.max_bytes,
    }
    assert api("GET", "/recipe").json["presets"] == {
        "small": ["w=10,fm=webp", "w=10,fm=jpeg", "w=20,fm=webp", "w=20,fm=jpeg"]
    }


def test_responses_have_the_schemas_of_the_server(api: Api) -> None:
    ours = api("GET", "/openapi.json").json
    reads = build_read_path(api.cloud, fake_render)
    work = InlineWork(BUCKET, api.cloud.process, reads.delivery, reads.make)
    theirs = create_app(api.cloud, work, machine.ROUTERS).openapi()
    # On one machine a body of POST /uploads may be the file itself.
    shared = (ours["paths"].keys() & theirs["paths"].keys()) - {"/uploads"}
    assert shared == {
        "/images",
        "/images/{id}",
        "/images/{id}/renditions",
        "/images/{id}/reprocess",
        "/images/{id}/similar",
        "/images/{id}/markup",
        "/images/{id}/urls",
        "/images/{id}/focus",
        "/folders",
        "/recipe",
        "/health",
    }
    for path in shared - {"/health"}:
        for method, operation in ours["paths"][path].items():  # the server has more, such as POST /recipe
            assert operation == theirs["paths"][path][method], path
    both = ours["components"]["schemas"].keys() & theirs["components"]["schemas"].keys()
    assert {"ImageModel", "ListingModel", "ProblemModel", "ProcessRequest", "RecipeModel"} <= both
    for name in both:
        assert ours["components"]["schemas"][name] == theirs["components"]["schemas"][name], name


def test_the_routes_on_aws(api: Api) -> None:
    described = api("GET", "/openapi.json").json["paths"]
    assert {f"{method} {path}" for path, methods in described.items() for method in methods} == {
        "post /images",
        "get /images",
        "get /images/{id}",
        "get /images/{id}/download",
        "get /images/{id}/similar",
        "get /images/{id}/markup",
        "get /images/{id}/urls",
        "put /images/{id}/focus",
        "delete /images/{id}/focus",
        "get /folders",
        "delete /images/{id}",
        "post /images/{id}/renditions",
        "post /images/{id}/reprocess",
        "post /uploads",
        "get /health",
        "get /recipe",
    }
    assert len(aws_app.ROUTERS) == 6


def test_a_request_is_one_line_of_log_and_one_of_metrics(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api("GET", "/health")
    api("GET", f"/images/{ID}", resource=IMAGE)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    requests = [line for line in lines if line.get("message") == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("GET", "/health", 200),
        ("GET", f"/images/{ID}", 404),
    ]
    assert {line["caller"] for line in requests} == {CALLER}
    embedded = [line for line in lines if "_aws" in line]
    assert [(line["Function"], line["Requests"], line["ClientErrors"]) for line in embedded] == [
        ("api", 1, 0),
        ("api", 1, 1),
    ]


@pytest.mark.parametrize(
    ("authorizer", "caller"),
    [
        ({"claims": {"sub": "a1b2", "client_id": "page"}}, "a1b2"),
        ({"claims": {"client_id": "program"}}, "program"),
        ({}, None),
        (None, None),
    ],
)
def test_the_log_names_the_user_of_a_pool(
    api: Api, authorizer: Any, caller: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    event = proxy_event("GET", "/health")
    event["requestContext"] |= {"identity": {"userArn": None, "apiKeyId": None}, "authorizer": authorizer}
    api.invoke(event)
    assert json.loads(capsys.readouterr().out.splitlines()[0])["caller"] == caller


@pytest.mark.parametrize("event", [{}, {"key": "a.jpg"}, [], None, {"requestContext": {"http": {}}}])
def test_an_event_that_is_no_request_is_400(api: Api, event: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert api.invoke(event).status == 400
    assert json.loads(capsys.readouterr().out)["message"] == "ignored"


class Turns:
    """Work that another worker leases for the first ``busy`` attempts, and a clock that pauses advance."""

    def __init__(self, ingest: IngestFixture, busy: float) -> None:
        self.ingest, self.busy, self.now = ingest, busy, 0.0

    def process(self, wanted: Any) -> Any:
        if self.now < self.busy:
            raise LeaseBusy("another worker holds the claim")
        return self.ingest.processor().process(wanted)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def work(self) -> InlineWork:
        reads = build_read_path(Api(self.ingest).cloud, fake_render)
        return InlineWork(
            BUCKET, self.process, reads.delivery, reads.make, pause=self.pause, clock=lambda: self.now
        )


@pytest.mark.parametrize(
    ("busy", "patience", "done"),
    [(0, 0, True), (1, 0, False), (3, 60, True), (3, 2, False), (MAX_LEASE_WAIT_SECONDS + 1, 60, False)],
)
def test_work_leased_by_another_is_waited_for_until_the_timeout(
    ingest: IngestFixture,
    busy: float,
    patience: float,
    done: bool,  # noqa: FBT001 - a case
) -> None:
    ingest.put("a.jpg", b"a")
    turns = Turns(ingest, busy)
    waiting = turns.work().outcome(UploadKind.CREATED, "a.jpg", patience)
    outcome = asyncio.get_event_loop().run_until_complete(waiting)
    assert (outcome is not None) == done
    assert turns.now <= min(patience, MAX_LEASE_WAIT_SECONDS)


def test_work_still_leased_by_another_is_202(ingest: IngestFixture) -> None:
    ingest.put(KEY, b"a cat")
    ingest.catalog.acquire(upload(KEY), owner="other", now=ingest.now, duration=timedelta(seconds=60))
    api = Api(ingest)
    again = api("POST", f"/images/{ID}/reprocess", resource=IMAGE + "/reprocess")
    assert (again.status, again.json["status"]) == (202, "processing")


WITHOUT_THE_SERVERS_PACKAGES = """
import sys

class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"python_multipart", "prometheus_client", "uvicorn", "typer", "rich"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import image_processor.aws_lambda.api_function
"""


def test_it_needs_no_package_of_the_server() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_THE_SERVERS_PACKAGES], check=True)
