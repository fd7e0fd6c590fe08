"""`GET /metrics`: what Prometheus reads, with few values of each label."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_machine import Client, Machine
from http_signed import let_sign, signed
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from image_processor.api.hit_statistics import HIT_SECONDS, HitCounts, HitStatistics
from image_processor.api.metrics import METRICS
from image_processor.config.recipe import parse_recipe
from image_processor.domain.errors import InvalidRecipe, Unavailable
from image_processor.domain.ports import Attributes
from image_processor.engine.worker.decoded_files import DecodedCounts
from image_processor.standalone.reconcile_loop import ReconcileReport

STORED = "/renditions/cat.jpg/w=10,fm=webp.webp"
ROOT = Path(__file__).parents[2]


def samples(response: httpx.Response) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The values by name and labels, as Prometheus' own parser of the format reads them."""
    assert response.status_code == 200
    return {
        (sample.name.removeprefix("image_processor_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


@pytest.fixture(autouse=True)
def _stored(machine: Machine) -> None:
    let_sign(machine)
    machine.ingest.put("cat.jpg", b"cat")
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", b"declared" * 20, Attributes("image/webp"))


def test_requests_are_counted_by_route_and_status(live: httpx.Client) -> None:
    for path in ("/images", "/images", "/images/a", "/images/b", "/nowhere/1", "/nowhere/2"):
        live.get(path)
    live.request("PURGE", "/images")
    found = samples(live.get("/metrics"))

    def requests(method: str, route: str, status: int) -> float | None:
        labels = (("method", method), ("route", route), ("status", str(status)))
        return found.get(("http_requests_total", labels))

    assert requests("GET", "/images", 200) == 2
    assert requests("GET", "/images/{id}", 404) == 2
    assert requests("GET", "none", 404) == 2
    assert requests("other", "/images", 405) == 1
    assert found["http_errors_total", (("reason", "not-found"),)] == 4
    buckets = [
        value
        for (name, labels), value in found.items()
        if name == "http_request_duration_seconds_bucket" and ("route", "/images") in labels
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 3
    assert found["http_response_bytes_total", (("route", "/images"),)] > 0


def test_no_client_chooses_a_label(live: httpx.Client) -> None:
    before = len(samples(live.get("/metrics")))
    for number in range(30):
        live.get(f"/images/{number}")
    names = len(samples(live.get("/metrics")))
    for number in range(30):
        live.get(f"/images/x{number}", headers={"x-request-id": f"id-{number}"})
        live.request(f"M{number}", f"/images/{number}")
        live.get(f"/renditions/{number}")
    after = samples(live.get("/metrics"))
    assert before < names
    assert {dict(labels).get("method") for _, labels in after} == {None, "GET", "other"}
    assert len({dict(labels).get("route") for _, labels in after} - {None}) <= 5


def test_outcomes_refusals_and_renditions_are_counted(machine: Machine, live: httpx.Client) -> None:
    live.put("/uploads/good.jpg", content=b"good", headers={"prefer": "wait=30"})
    live.put("/uploads/bad.jpg", content=b"bad", headers={"prefer": "wait=30"})
    machine.workers.wait_until_idle()
    found = samples(live.get("/metrics"))
    assert found["uploads_total", (("outcome", "processed"),)] == 1
    assert found["uploads_total", (("outcome", "refused"),)] == 1
    assert found["upload_duration_seconds_count", (("outcome", "refused"),)] == 1
    assert [labels for name, labels in found if name == "refusals_total"] == [(("reason", "not-an-image"),)]
    assert found["renditions_total", (("format", "webp"), ("source", "upload"))] >= 1
    assert found["worker_busy_seconds_total", ()] > 0
    assert found["catalog_records", (("status", "refused"),)] == 1


def test_renditions_for_urls_are_counted_with_their_time(machine: Machine, live: httpx.Client) -> None:
    machine.ingest.put("dog.jpg", b"dog")
    assert live.get(signed("dog.jpg", "w=11&fm=jpeg")).status_code == 200
    found = samples(live.get("/metrics"))
    assert found["renditions_total", (("format", "jpeg"), ("source", "request"))] == 1
    assert found["render_duration_seconds_count", (("format", "jpeg"),)] == 1
    stages = {dict(labels)["stage"] for name, labels in found if name == "render_stage_seconds_total"}
    assert stages == {"fetch", "decode", "render", "encode", "store"}
    assert found["rendition_lookups_total", (("result", "miss"),)] == 1
    assert found["cache_bytes", ()] > 0


def test_decoded_originals_are_counted(machine: Machine, client: Client) -> None:
    machine.decoded = DecodedCounts(files=2, bytes=3, found=4, decoded=5)
    found = samples(client.get("/metrics"))
    lookups = {labels: value for (name, labels), value in found.items() if name == "decoded_lookups_total"}
    assert lookups == {(("result", "hit"),): 4, (("result", "miss"),): 5}
    assert found["decoded_bytes", ()] == 3


def hits(live: httpx.Client) -> Any:
    return samples(live.get("/metrics")).get(("hits_total", (("status", "200"),)))


def test_hits_are_counted_in_the_server(live: httpx.Client) -> None:
    for _ in range(4):
        assert live.get(STORED).status_code == 200
    assert hits(live) == 3  # the first is decided by the routes
    tag = live.get(STORED).headers["etag"]
    assert live.get(STORED, headers={"if-none-match": tag}).status_code == 304
    found = samples(live.get("/metrics"))
    assert found["hits_total", (("status", "304"),)] == 1
    assert found["hit_bytes_total", ()] == 4 * 160
    assert found["hit_duration_seconds_count", ()] == 5
    assert found["hit_duration_seconds_sum", ()] > 0
    assert found["rendition_lookups_total", (("result", "hit"),)] == 6


def test_the_state_is_read_at_each_scrape(machine: Machine, client: Client) -> None:
    machine.reconcile_report = ReconcileReport(unreadable=3, held=2)
    with pytest.raises(InvalidRecipe):
        machine.live_recipe.reload(lambda: parse_recipe(""))
    found = samples(client.get("/metrics"))
    assert (found["unreadable_keys", ()], found["held_deletions", ()]) == (3, 2)
    assert (found["recipe_invalid", ()], found["workers", ()]) == (1, machine.settings.worker_count)
    assert found["disk_free_bytes", ()] == machine.disk.free
    assert found["process_resident_memory_bytes", ()] > 0


def test_a_broken_catalog_leaves_out_its_own_metrics_only(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> int:
        raise Unavailable("the catalog cannot be read")

    monkeypatch.setattr(machine.ingest.catalog, "count", fail)
    found = samples(client.get("/metrics"))
    assert not [name for name, _ in found if name == "catalog_records"]
    assert ("workers", ()) in found


def test_openmetrics_is_answered_where_it_is_asked_for(client: Client) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    response = client.get("/metrics", headers=accept)
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=x",
        "application/openmetrics-text; version==1",
        "text/plain;version=1.x;escaping=",
        ";=,;",
        "\xff",
    ],
)
def test_an_accept_that_means_nothing_gets_the_text_format(client: Client, accept: str) -> None:
    response = client.get("/metrics", headers={"accept": accept.encode("latin-1")})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")


def test_counts_of_several_processes_add_up() -> None:
    statistics = HitStatistics()
    assert statistics.take() is None
    statistics.add((b"HTTP/1.1 200 OK\r\n", b"abc"), float("-inf"))
    one = statistics.take()
    assert one is not None
    assert one.buckets == (0,) * len(HIT_SECONDS) + (1,)
    both = replace(one, seconds=1.0).plus(HitCounts({"200": 2, "304": 1}, one.buckets, 0.5, 7))
    assert (both.statuses, both.bytes, both.seconds) == ({"200": 3, "304": 1}, 10, 1.5)
    assert both.buckets[-1] == 2
    assert statistics.take() is None


def test_every_metric_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(image_processor_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", text, re.MULTILINE)
    assert rows == [
        (spec.full_name, spec.kind, ", ".join(f"`{label}`" for label in spec.labels), spec.meaning)
        for spec in METRICS
    ]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on the PATH")
def test_promtool_accepts_a_scrape(live: httpx.Client) -> None:
    live.get(STORED)
    live.put("/uploads/bad.jpg", content=b"bad", headers={"prefer": "wait=30"})
    text = live.get("/metrics").text
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
