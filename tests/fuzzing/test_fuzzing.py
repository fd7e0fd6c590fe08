"""Every parser of strangers' bytes rejects by documented errors only, with bounded work (promise 23)."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from image_processor.config.setting_specs import DIALECTS
from image_processor.engine.codecs.registry import CODECS

from .inputs import inputs
from .registry import TARGETS
from .steps import TooMuchWork, lines_executed

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or (300 if os.environ.get("STRESS") else 12))


def test_every_dialect_and_every_codec_has_a_target() -> None:
    """A new one needs a row in DIALECT_INPUTS, or originals of its format in tests/hostile/originals.py."""
    needed = {*(f"dialect-{name}" for name in DIALECTS), *(f"container-{name}" for name in CODECS)}
    assert needed - TARGETS.keys() == set()
    assert [name for name, item in TARGETS.items() if not item.seeds()] == []


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_pass(name: str) -> None:
    item = TARGETS[name]
    for seed in item.seeds():
        item.check(seed)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_input_breaks_a_parser(name: str, data: st.DataObject) -> None:
    item = TARGETS[name]
    raw = data.draw(inputs(item))
    lines = lines_executed(item.check, raw, item.base_lines + item.lines_per_byte * len(raw))
    # Hypothesis looks for inputs that take more.
    target(lines / (len(raw) + 100), label="lines per byte")


def test_work_without_bound_is_found() -> None:
    def quadratic(data: bytes) -> None:
        for _ in data:
            for _ in data:
                pass

    assert lines_executed(quadratic, b"a" * 10, 1000) < 1000
    with pytest.raises(TooMuchWork, match="at most 1000 lines for 100 bytes"):
        lines_executed(quadratic, b"a" * 100, 1000)
