"""Replays one seed, or runs many: `python -m simulation SEED [FAULT_PROFILE] [COUNT]`."""
# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import sys
import time

from .campaign import campaign, profile_named, run


def main(arguments: list[str]) -> None:
    seed = int(arguments[0])
    profile = profile_named(arguments[1]) if len(arguments) > 1 and arguments[1] != "-" else None
    if len(arguments) > 2:
        began = time.process_time()
        totals = campaign(range(seed, seed + int(arguments[2])), profile)
        print(totals.histories, dict(totals.counts), f"{time.process_time() - began:.1f} s")
        return
    sim = run(seed, profile)
    print("\n".join(sim.trace))
    print(
        f"seed {seed} with the fault profile {sim.profile.name!r} kept every promise; digest {sim.digest:08x}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
