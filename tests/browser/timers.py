"""Messages vanish and deletions happen when the test says so, not when a busy machine is late."""

from __future__ import annotations

from playwright.sync_api import Page

_HOLD = """() => {
    const [set, clear] = [window.setTimeout, window.clearTimeout];
    const held = new Map();
    let last = 0;
    window.setTimeout = (run, delay = 0, ...values) => {
        if (delay < 6000) return set(run, delay, ...values);
        held.set(--last, () => run(...values));
        return last;
    };
    window.clearTimeout = (id) => held.delete(id) || clear(id);
    window.runHeld = () => {
        for (const [id, run] of [...held]) if (held.delete(id)) run();
    };
}"""


def hold_timers(page: Page) -> None:
    """From now on, timers of six seconds and more wait for `run_held_timers`."""
    page.evaluate(_HOLD)


def run_held_timers(page: Page) -> None:
    page.evaluate("window.runHeld()")
