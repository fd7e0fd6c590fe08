"""docs/metrics.md: every metric of the server, from the registry's own list."""

from __future__ import annotations

from image_processor.api.metrics import METRICS

from .tables import code, table

_HEAD = """\
# Metrics

What `GET /metrics` of one machine has, for Prometheus. [Observability](observability.md#metrics) says how
to scrape it, and [examples/monitoring](../examples/monitoring) has alert rules and a dashboard. On AWS
there are CloudWatch's metrics and alarms: [On AWS](aws.md#monitoring). This page is written by
`docs/write_reference.py`.
"""
_FOOT = """
There are also `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`,
`process_max_fds`, `process_start_time_seconds` and `process_virtual_memory_bytes` of the server's own
process, on Linux.
"""


def page() -> str:
    """The page of all metrics."""
    rows = (
        (code(spec.full_name), spec.kind, ", ".join(map(code, spec.labels)), spec.meaning) for spec in METRICS
    )
    return f"{_HEAD}\n{table(('Metric', 'Type', 'Labels', 'Meaning'), rows)}{_FOOT}"
