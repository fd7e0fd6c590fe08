"""100,000 mutations of every readable format, in as many processes as there are cores: each with its
reason or its renditions, within time and memory. STRESS_SEED replays a campaign.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor

from hostile.campaign import Told, limits_of, run
from hostile.mutate import mutation

COUNT = int(os.environ.get("STRESS_MUTATIONS") or 100_000)
_PART = 1_000


def _part(start: int) -> Told:
    inputs = ((f"mutation({at})", lambda at=at: mutation(at)[1]) for at in range(start, start + _PART))
    return run(inputs, limits_of(start // _PART))


def test_mutations_are_survived() -> None:
    start = _PART * int(os.environ.get("STRESS_SEED") or random.randrange(10**9))
    told = Told()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for part in pool.map(_part, range(start, start + COUNT, _PART)):
            told.add(part)
    sys.stderr.write(f"\nSTRESS_SEED={start // _PART}: {told}\n")
    assert told.wrong == [], f"STRESS_SEED={start // _PART}, or hostile.mutate.mutation of each number"
    assert sum(told.reasons.values()) == COUNT
    assert told.reasons["rendered"] > COUNT // 20
