"""The examples for Prometheus and Grafana name metrics and labels that exist, and Prometheus accepts them."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from image_processor.api.metrics import METRICS, PREFIX

FOLDER = Path(__file__).parents[1] / "examples" / "monitoring"
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
OURS = {
    spec.full_name + suffix: {*spec.labels, *(["le"] if suffix == "_bucket" else [])}
    for spec in METRICS
    for suffix in SUFFIXES.get(spec.kind, ("",))
}
OF_THE_SCRAPE = {"instance", "job"}


@pytest.fixture(scope="module")
def dashboard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_dashboard", FOLDER / "draw_dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def queries(module: ModuleType) -> Iterator[str]:
    """The expressions of the panels, with Grafana's variables filled in."""
    for panel in module.dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")


def process_metrics() -> set[str]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return {sample.name for family in registry.collect() for sample in family.samples}


def check(expression: str) -> set[str]:
    """Check the names of metrics and labels in an expression. Returns our metrics."""
    names = set(re.findall(r"\b(?:image_processor|process)_\w+", expression.replace("image-processor", "")))
    ours = {name for name in names if name.startswith(PREFIX)}
    assert ours <= set(OURS), expression
    assert names - ours <= process_metrics(), expression
    known = OF_THE_SCRAPE.union(*(OURS[name] for name in ours))
    used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        used.update(labels.replace(",", " ").split())
    assert used <= known, expression
    return ours


def test_the_committed_dashboard_is_as_drawn(dashboard: ModuleType) -> None:
    written = dashboard.OUTPUT.read_text(encoding="utf-8")
    assert written == dashboard.text(), "run examples/monitoring/draw_dashboard.py"
    assert json.loads(written)["panels"]


def test_alerts_name_what_exists_and_say_what_to_do() -> None:
    for rule in rules():
        assert check(rule["expr"]) or "up{" in rule["expr"] or "process_" in rule["expr"], rule
        assert rule["annotations"]["summary"].strip()
        assert rule["annotations"]["description"].strip()
        assert rule["labels"]["severity"] in {"page", "warning"}


def test_the_dashboard_names_what_exists_and_shows_every_metric(dashboard: ModuleType) -> None:
    shown = set().union(*map(check, queries(dashboard)))
    left_out = {
        spec.full_name for spec in METRICS if not any(name.startswith(spec.full_name) for name in shown)
    }
    assert left_out == set()


def test_panels_do_not_overlap(dashboard: ModuleType) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard.dashboard()["panels"]:
        position = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on the PATH")
def test_promtool_accepts_the_rules_and_the_queries(dashboard: ModuleType, tmp_path: Path) -> None:
    recorded = [
        {"record": f"query:{number}", "expr": query} for number, query in enumerate(queries(dashboard))
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    for command in (["config", FOLDER / "prometheus.yaml"], ["rules", file]):
        done = subprocess.run(["promtool", "check", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
