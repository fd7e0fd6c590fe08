"""Writes dashboard.json, a dashboard for Grafana 10 or newer, from the table of its panels.

Run it after a change: `python examples/monitoring/draw_dashboard.py`. A test compares both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).with_name("dashboard.json")

_P = "image_processor_"
_BY = 'instance=~"$instance"'
_RATE = "[$__rate_interval]"

Query = tuple[str, str]
"""An expression of PromQL and its legend."""


def _rate(metric: str, labels: str = "", more: str = "") -> str:
    by = f" by ({labels})" if labels else ""
    return f"sum{by} (rate({_P}{metric}{{{_BY}{more}}}{_RATE}))"


def _quantile(quantile: float, metric: str, labels: str = "") -> str:
    by = f"le, {labels}" if labels else "le"
    return f"histogram_quantile({quantile}, sum by ({by}) (rate({_P}{metric}_bucket{{{_BY}}}{_RATE})))"


def _gauge(metric: str) -> str:
    return f"{_P}{metric}{{{_BY}}}"


PANELS: tuple[tuple[str, tuple[tuple[str, str, tuple[Query, ...]], ...]], ...] = (
    (
        "Requests",
        (
            (
                "Requests by status",
                "reqps",
                (
                    (_rate("http_requests_total", "status"), "{{status}}"),
                    (_rate("hits_total", "status"), "{{status}} from memory"),
                ),
            ),
            ("Requests by route", "reqps", ((_rate("http_requests_total", "route"), "{{route}}"),)),
            (
                "Latency",
                "s",
                tuple(
                    (_quantile(quantile, "http_request_duration_seconds"), f"p{quantile * 100:.0f}")
                    for quantile in (0.5, 0.95, 0.99)
                ),
            ),
            (
                "Latency of hits",
                "s",
                tuple(
                    (_quantile(quantile, "hit_duration_seconds"), f"p{quantile * 100:.0f}")
                    for quantile in (0.5, 0.99)
                ),
            ),
            ("Errors by reason", "reqps", ((_rate("http_errors_total", "reason"), "{{reason}}"),)),
            (
                "Bytes sent",
                "Bps",
                ((_rate("http_response_bytes_total"), "routes"), (_rate("hit_bytes_total"), "from memory")),
            ),
        ),
    ),
    (
        "Uploads and renditions",
        (
            ("Uploads by outcome", "ops", ((_rate("uploads_total", "outcome"), "{{outcome}}"),)),
            ("Refusals by reason", "ops", ((_rate("refusals_total", "reason"), "{{reason}}"),)),
            (
                "Time of an upload",
                "s",
                tuple(
                    (_quantile(quantile, "upload_duration_seconds"), f"p{quantile * 100:.0f}")
                    for quantile in (0.5, 0.95)
                ),
            ),
            (
                "Renditions by format",
                "ops",
                ((_rate("renditions_total", "format, source"), "{{format}} ({{source}})"),),
            ),
            (
                "Time of a rendition for a URL, p95",
                "s",
                ((_quantile(0.95, "render_duration_seconds", "format"), "{{format}}"),),
            ),
            ("Where that time goes", "s", ((_rate("render_stage_seconds_total", "stage"), "{{stage}}"),)),
        ),
    ),
    (
        "Remote sources",
        (
            ("Fetches by result", "ops", ((_rate("remote_fetches_total", "result"), "{{result}}"),)),
            (
                "Time of a fetch, p95",
                "s",
                ((_quantile(0.95, "remote_fetch_duration_seconds", "result"), "{{result}}"),),
            ),
        ),
    ),
    (
        "Capacity",
        (
            (
                "Queues",
                "short",
                (
                    (_gauge("queue_uploads"), "uploads"),
                    (_gauge("queue_renders"), "renditions for URLs"),
                    (_gauge("workers"), "workers"),
                ),
            ),
            (
                "Workers in use",
                "percentunit",
                ((f"{_rate('worker_busy_seconds_total')} / sum({_gauge('workers')})", "in use"),),
            ),
            (
                "Stored renditions found",
                "percentunit",
                (
                    (
                        _rate("rendition_lookups_total", more=', result="hit"')
                        + " / "
                        + _rate("rendition_lookups_total"),
                        "hits",
                    ),
                    (
                        _rate("decoded_lookups_total", more=', result="hit"')
                        + " / "
                        + _rate("decoded_lookups_total"),
                        "made of decoded originals",
                    ),
                ),
            ),
            (
                "Cache of undeclared renditions",
                "bytes",
                (
                    (_gauge("cache_bytes"), "kept"),
                    (_gauge("cache_max_bytes"), "at most"),
                    (_gauge("decoded_bytes"), "decoded originals"),
                ),
            ),
            (
                "Catalog",
                "short",
                ((_gauge("catalog_records"), "{{status}}"),),
            ),
            (
                "Disk",
                "bytes",
                (
                    (_gauge("disk_free_bytes"), "free"),
                    (_gauge("catalog_bytes"), "catalog"),
                    (_gauge("resumable_bytes"), "unfinished uploads"),
                ),
            ),
        ),
    ),
    (
        "Trouble and process",
        (
            (
                "Needs a person",
                "short",
                (
                    (_gauge("recipe_invalid"), "invalid recipe"),
                    (_gauge("held_deletions"), "deletions held"),
                    (_gauge("unreadable_keys"), "unreadable keys"),
                    (_gauge("events"), "events {{state}}"),
                ),
            ),
            (
                "Coordinator, unfinished uploads",
                "short",
                (
                    (_gauge("coordinator"), "coordinator"),
                    (_gauge("resumable_uploads"), "unfinished resumable uploads"),
                ),
            ),
            ("CPU of the server", "short", ((f"rate(process_cpu_seconds_total{{{_BY}}}{_RATE})", "cores"),)),
            ("Memory of the server", "bytes", ((f"process_resident_memory_bytes{{{_BY}}}", "resident"),)),
            ("Version", "short", ((_gauge("build_info"), "{{version}}"),)),
        ),
    ),
)

_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 8


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, items in PANELS:
        panels.append({"type": "row", "title": row, "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        for number, (title, unit, queries) in enumerate(items):
            position = {
                "h": _HEIGHT,
                "w": _WIDTH,
                "x": number % _COLUMNS * _WIDTH,
                "y": y + 1 + number // _COLUMNS * _HEIGHT,
            }
            panels.append(_panel(title, unit, queries, position))
        y += 1 + -(-len(items) // _COLUMNS) * _HEIGHT
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return {
        "title": "Image processor",
        "uid": "image-processor",
        "schemaVersion": 39,
        "tags": ["image-processor"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [_datasource(), _instance()]},
        "panels": panels,
    }


def _panel(title: str, unit: str, queries: tuple[Query, ...], position: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expression, "legendFormat": legend}
            for number, (expression, legend) in enumerate(queries)
        ],
    }


def _datasource() -> dict[str, Any]:
    return {"type": "datasource", "name": "datasource", "query": "prometheus", "label": "Data source"}


def _instance() -> dict[str, Any]:
    return {
        "type": "query",
        "name": "instance",
        "label": "Server",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": f"label_values({_P}build_info, instance)", "refId": "instance"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(text(), encoding="utf-8")
