"""10,000 mutations of every readable format, in as many processes as there are cores: each with its
reason or its renditions, within time and memory. STRESS_SEED replays a campaign, STRESS_MUTATIONS is their
number: 100,000 take half an hour of CPU.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor

from hostile.campaign import CampaignReport, limits_of, run
from hostile.mutate import mutation

COUNT = int(os.environ.get("STRESS_MUTATIONS") or 10_000)
_PART = 1_000


def _part(start: int) -> CampaignReport:
    inputs = ((f"mutation({at})", lambda at=at: mutation(at)[1]) for at in range(start, start + _PART))
    return run(inputs, limits_of(start // _PART))


def test_mutations_are_refused_or_rendered() -> None:
    start = _PART * int(os.environ.get("STRESS_SEED") or random.randrange(10**9))
    report = CampaignReport()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for part in pool.map(_part, range(start, start + COUNT, _PART)):
            report.add(part)
    sys.stderr.write(f"\nSTRESS_SEED={start // _PART}: {report}\n")
    assert report.failures == [], f"STRESS_SEED={start // _PART}, or hostile.mutate.mutation of each number"
    assert sum(report.reasons.values()) == COUNT
    assert report.reasons["rendered"] > COUNT // 20
