"""The same input and recipe give the same bytes, whatever the memory that decoders and encoders get contained
before; also for files that are decodable in part.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from .originals import originals

_PROGRAM = """
import hashlib, json, sys
from hostile.mutate import mutation
from hostile.originals import originals
from image_processor.engine.render import render
from image_processor.domain.errors import Refused
from image_processor.domain.formats import WRITABLE
from image_processor.domain.models import Limits, TruncatedPolicy
from image_processor.domain.transformation import parse

texts = [f"w=20,fm={name}" for name in WRITABLE] + ["w=30,h=30,fit=contain,enlarge=1,fm=png"]
transformations = [parse(text) for text in texts]
limits = Limits(svg=True, max_pixels=200_000, truncated=TruncatedPolicy.LENIENT)
inputs = [data[:len(data) * part // 4] for data in originals().values() for part in (2, 3, 4)]
inputs += [mutation(number)[1] for number in range(300)]
for data in inputs:
    try:
        rendered = render(data, transformations, limits)
    except Refused as refused:
        print(json.dumps(refused.reason))
    else:
        bodies = [hashlib.sha256(item.body).hexdigest() for item in rendered.renditions]
        print(json.dumps([*bodies, repr(rendered.summary)]))
"""


def outcomes_with(poison: int) -> list[str]:
    """The outcome of every input in a process whose memory is filled with ``poison`` when it is allocated and
    freed (mallopt(3), M_PERTURB)."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_PERTURB_": str(poison)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def clean() -> list[str]:
    return outcomes_with(0)


def test_truncated_inputs_are_decoded(clean: list[str]) -> None:
    """Otherwise missing pixels could not reveal uninitialised memory."""
    assert len(clean) == 3 * len(originals()) + 300
    rendered = [line for line in clean if line.startswith("[")]
    assert len(rendered) > len(originals()) + 50
    assert len(set(rendered)) > 20
    assert hashlib.sha256(b"").hexdigest() not in json.dumps(rendered)


@pytest.mark.parametrize("poison", [0x55, 0xFF])
def test_uninitialised_memory_is_never_visible(clean: list[str], poison: int) -> None:
    assert outcomes_with(poison) == clean
