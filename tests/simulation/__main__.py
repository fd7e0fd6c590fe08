"""A program: replays one seed, or goes through many. `python -m simulation SEED [WEATHER] [COUNT]`."""
# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import sys
import time

from .campaign import campaign, named, run


def main(arguments: list[str]) -> None:
    seed = int(arguments[0])
    weather = named(arguments[1]) if len(arguments) > 1 and arguments[1] != "-" else None
    if len(arguments) > 2:
        began = time.process_time()
        figures = campaign(range(seed, seed + int(arguments[2])), weather)
        print(figures.histories, dict(figures.counts), f"{time.process_time() - began:.1f} s")
        return
    world = run(seed, weather)
    print("\n".join(world.trace))
    print(f"seed {seed} in weather {world.weather.name!r} kept every promise; digest {world.digest:08x}")


if __name__ == "__main__":
    main(sys.argv[1:])
