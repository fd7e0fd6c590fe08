"""The histories in real worker processes that are killed, on files or on emulated AWS.

The processes get their time from the history, so no lease has to be waited for. A seed determines the
actions of users, the messages and the calls at which processes die, but not the order of
concurrent calls.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from image_processor.domain.ports import Attributes
from support.ingest import BUCKET

from . import messages
from .backends import Backend, processor, reconciler
from .history import RECIPES, History, UserAction, draw_history
from .oracle import Oracle
from .system import LEASE
from .worker_processes import KILLED

_ROUNDS = 400
_TESTS = Path(__file__).parents[1]


class RealSystem:
    """Runs one history on one backend. ``counts`` has the numbers of what happened.

    With ``children``, a folder, workers render in child processes that have it in their command line, and
    some of these are stopped.
    """

    def __init__(self, seed: int, backend: Backend, children: str = "") -> None:
        self.children = children
        self.random = Random(f"real {seed}")
        self.history: History = draw_history(Random(f"history {seed}"))
        self.backend = backend
        self.recipe = RECIPES.index(self.history.recipe)
        self.oracle = Oracle(self.history.recipe)
        self.counts: Counter[str] = Counter()
        self.now = 0.0
        self._pool: dict[str, str] = {}
        self._ports = backend.open()
        command = [sys.executable, "-m", "simulation.worker_processes", json.dumps(asdict(backend))]
        path = os.pathsep.join([str(_TESTS), str(_TESTS.parent / "src")])
        self._workers = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def run(self) -> list[str]:
        """Run the whole history, then one reconcile; returns the problems that are left."""
        try:
            for action in self.history.actions:
                self._round(action)
            for _ in range(_ROUNDS):
                if not self._pool:
                    break
                self._round(None)
            assert not self._pool, "messages were retried for ever"
            return self._reconcile()
        finally:
            self._workers.communicate()
            close = getattr(self._ports[2], "close", lambda: None)
            close()

    def _round(self, action: UserAction | None) -> None:
        """Run up to three processes at once; a user acts meanwhile."""
        self.now += 1.0
        jobs = [self._job(action is not None) for _ in range(self.random.randint(1, 3)) if self._pool]
        assert self._workers.stdin is not None
        assert self._workers.stdout is not None
        self._workers.stdin.write(json.dumps(jobs) + "\n")
        self._workers.stdin.flush()
        if action is not None:
            self._act(action)
        for job, answer in zip(jobs, json.loads(self._workers.stdout.readline()), strict=True):
            self._settle(job, answer)

    def _job(self, dangerous: bool) -> dict[str, Any]:  # noqa: FBT001
        ids = self.random.sample(sorted(self._pool), min(len(self._pool), self.random.randint(1, 3)))
        job = {"batch": [(id_, self._pool[id_]) for id_ in ids], "recipe": self.recipe, "now": self.now}
        chance = self.random.random() if dangerous else self.random.random() + 0.4
        job["kill_at"] = self.random.randint(1, 40) if chance < 0.4 else None
        job["kill_after"] = self.random.random() * 0.03 if 0.4 <= chance < 0.6 else None
        job["children"], job["stop"] = self.children, self._draw_stop() if self.children else None
        return job

    def _draw_stop(self) -> tuple[float, float | None] | None:
        """When the child of a worker is stopped amid its work, and for how long; None for ever."""
        if self.random.random() < 0.3:
            return None
        return 0.03 * self.random.random(), self.random.choice([None, None, 0.2])

    def _settle(self, job: dict[str, Any], answer: list[str] | str) -> None:
        self.counts["processes"] += 1
        if answer == KILLED:
            self.counts["kills"] += 1
            self.now += self.random.choice([1.0, LEASE])
            return
        failed = set(answer)
        for id_, _ in job["batch"]:
            if id_ not in failed:
                self._pool.pop(id_, None)
        if failed:
            self.counts["retries"] += len(failed)
            self.now += LEASE / 3

    def _act(self, action: UserAction) -> None:
        self.oracle.user_acted(action.key, action.body)
        if action.body is None:
            self._ports[0].delete(action.key)
        else:
            self._ports[0].put(action.key, action.body, Attributes())
        self.counts["acts"] += 1
        if self.random.random() < 0.1:
            self.counts["dropped"] += 1
            return
        for copy in range(self.random.randint(1, 3)):
            number = self.counts["acts"]
            body = messages.notification(
                self.random, action.key, deleted=action.body is None, sequencer=number
            )
            self._pool[f"m{number}-{copy}"] = body

    def _reconcile(self) -> list[str]:
        self.now += LEASE
        process = processor(self._ports, self.recipe, self.now, "reconcile").process
        for finding in list(reconciler(self._ports, self.recipe).findings()):
            self.counts["found"] += 1
            if finding.upload is not None:
                process(finding.upload)
        uploads, processed, catalog = self._ports
        stored = {entry.key: processed.get(entry.key).body for entry in processed.list()}
        entries = {entry.key: entry.version for entry in processed.list()}
        entries |= {f"original {entry.key}": entry.version for entry in uploads.list()}
        wrong = self.oracle.compare(stored, entries, list(catalog.scan()))
        left = reconciler(self._ports, self.recipe).findings()
        return wrong + [f"work left in {BUCKET}: {finding.drift} {finding.key!r}" for finding in left]
