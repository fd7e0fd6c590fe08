"""`python -m benchmarks.scale`: where AWS throttles a growing library, by a model of the stack.

A discrete-event model in steps of a second: uploads arrive, wait in the queue, occupy the concurrency of the
function *process*, and write to S3, to the table and to its indexes. Each limit is a rate that AWS documents;
what exceeds it is throttled and tried again, and occupies concurrency meanwhile. docs/scale.md explains the
figures. `tests/simulation/test_scale.py` checks points that follow from arithmetic.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

DAY = 86_400


class Demand(Struct, frozen=True):
    """What one new original costs. ``seconds`` are those of an invocation.

    Of the table's write units, one is for the lease and five for the record with its twelve renditions; of
    those of the index `newest`, one is for the new entry and one for its status.
    """

    seconds: float = 1.0
    table_units: int = 6
    index_units: int = 2
    puts: int = 12


class Limits(Struct, frozen=True):
    """Limits per second, unless said otherwise. The defaults are AWS's own, or the template's."""

    shards: int = 16
    """Partitions of the index `newest`."""
    partition_units: int = 1_000
    """Write units of a partition ("Best practices for designing and using partition keys")."""
    table_units: int = 40_000
    """Write units of a table ("Quotas in Amazon DynamoDB")."""
    warm_units: int = 40_000
    """Write units that the table has served before; 4,000 if it is new. On-demand tables take twice their
    previous peak at once, and more after 30 minutes ("DynamoDB on-demand capacity mode")."""
    puts: int = 3_500
    """PUTs of one prefix ("Best practices design patterns: optimizing Amazon S3 performance")."""
    prefixes: int = 1
    """Prefixes that S3 has divided the bucket into."""
    concurrency: int = 1_000
    """Invocations at a time: of the account ("Lambda quotas"), of an event source mapping, or the parameter
    MaximumConcurrency."""
    added_concurrency: float = 5.0
    """Invocations that an event source mapping adds per second: 300 a minute."""
    in_flight: int = 120_000
    """Messages in flight, not per second ("Amazon SQS standard queue quotas")."""


class Report(Struct, frozen=True):
    """What happened. ``throttled`` counts by limit what had to wait for another second; ``backlog`` is what
    is not done at the end."""

    done: int
    backlog: int
    throttled: dict[str, int]
    peak_per_second: int


def run(per_second: float, seconds: int, limits: Limits = Limits(), demand: Demand = Demand()) -> Report:  # noqa: B008 - frozen
    """Uploads arrive for ``seconds`` at a constant rate, and are processed in this time."""
    throttled = dict.fromkeys(("partition", "table", "prefix", "concurrency"), 0)
    waiting, arrived, done, peak = 0, 0, 0, 0
    concurrency = min(5.0, limits.concurrency)
    finishing: deque[int] = deque()  # ids whose invocation writes its record this second, or again
    running: deque[int] = deque([0] * max(1, round(demand.seconds)))
    ids = _ids()
    for second in range(1, seconds + 1):
        new = int(per_second * second) - arrived
        arrived += new
        waiting += new
        finishing.extend(next(ids) for _ in range(running.popleft()))
        finished = _write(finishing, limits, demand, throttled)
        done += finished
        peak = max(peak, finished)
        concurrency = min(limits.concurrency, concurrency + limits.added_concurrency)
        free = max(0, int(concurrency) - sum(running) - len(finishing))
        # Shorter invocations than a second are several in one slot.
        started = min(waiting, int(free / min(1.0, demand.seconds)), limits.in_flight)
        throttled["concurrency"] += waiting - started if concurrency == limits.concurrency else 0
        waiting -= started
        running.append(started)
    return Report(done, arrived - done, throttled, peak)


def _write(finishing: deque[int], limits: Limits, demand: Demand, throttled: dict[str, int]) -> int:
    """Write the records of one second. Those that are throttled stay in ``finishing``."""
    units = [limits.partition_units] * limits.shards
    table = min(limits.table_units, limits.warm_units)
    puts = limits.puts * limits.prefixes
    finished = 0
    for _ in range(len(finishing)):
        id_ = finishing.popleft()
        shard = id_ % limits.shards
        exceeded = {
            "prefix": puts < demand.puts,
            "table": table < demand.table_units,
            # A throttled index throttles its table.
            "partition": units[shard] < demand.index_units,
        }
        if any(exceeded.values()):
            throttled[next(name for name, is_exceeded in exceeded.items() if is_exceeded)] += 1
            finishing.append(id_)
            continue
        puts -= demand.puts
        table -= demand.table_units
        units[shard] -= demand.index_units
        finished += 1
    return finished


def _ids() -> Iterator[int]:
    number = 0
    while True:
        yield zlib.crc32(b"%d" % number)
        number += 1


def sustained(limits: Limits, demand: Demand = Demand()) -> dict[str, float]:  # noqa: B008 - frozen
    """New originals a second that each limit allows, by arithmetic."""
    return {
        "concurrency": limits.concurrency / demand.seconds,
        "prefix": limits.puts * limits.prefixes / demand.puts,
        "table": min(limits.table_units, limits.warm_units) / demand.table_units,
        "partition": limits.partition_units * limits.shards / demand.index_units,
    }


def first_limit(per_second: float, limits: Limits) -> str | None:
    """The lowest limit that a rate exceeds; None if it exceeds none."""
    name, value = min(sustained(limits).items(), key=lambda item: item[1])
    return name if value < per_second else None


def main() -> None:
    """Print what throttles first when a library of each size is imported in a day."""
    template = Limits(concurrency=10, warm_units=4_000)
    tuned = Limits(prefixes=100)
    print(f"{'originals':>14} {'a second':>9} {'defaults':>12} {'concurrency 1,000':>18} {'tuned':>12}")
    for power in range(6, 10):
        rate = 10**power / DAY
        stages = (template, replace(template, concurrency=1_000), tuned)
        names = [first_limit(rate, limits) or "-" for limits in stages]
        print(f"{10**power:>14,} {rate:>9,.0f} {names[0]:>12} {names[1]:>18} {names[2]:>12}")
    for limits in (Limits(shards=1), Limits()):
        many = replace(limits, concurrency=100_000, added_concurrency=100_000, prefixes=1_000)
        unlimited = replace(many, table_units=10**9, warm_units=10**9)
        report = run(20_000, 20, unlimited)
        print(f"{limits.shards:>3} partitions: at most {report.peak_per_second:,} originals a second")


if __name__ == "__main__":
    main()
