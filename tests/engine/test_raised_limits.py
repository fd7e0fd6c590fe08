"""Every limit that refuses names the setting that raises it, and raising it works."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from drawing import animated, corners, encoded, flat, photograph
from msgspec import Struct
from PIL import Image

from hostile.bombs import jpeg_of
from image_processor.config.setting_specs import ALL_SETTINGS, LIMIT_SETTINGS
from image_processor.config.settings import from_environment
from image_processor.domain.errors import FIXES, Refused
from image_processor.domain.transformation import parse
from image_processor.engine.worker.isolation import IsolatedRenderer


class Case(Struct, frozen=True):
    """An original that is refused with the setting at ``low`` and rendered with it at ``high``. ``others``
    are settings that would refuse it earlier."""

    make: Callable[[], bytes]
    low: str
    high: str
    text: str = "w=9,fm=png"
    others: dict[str, str] = {}


def large(side: int) -> Image.Image:
    return flat("red", size=(side, side))


CASES = {
    "MAX_BYTES": Case(lambda: encoded(photograph().resize((1100, 1100)), "png"), "1", "8"),
    "MAX_PIXELS": Case(lambda: encoded(large(1001), "png"), "1", "2"),
    "MAX_FRAMES": Case(lambda: animated([corners(), corners().rotate(180)], "gif", [40, 40]), "1", "2"),
    "MAX_SCANS": Case(lambda: encoded(photograph(), "progressive"), "1", "100"),
    "MAX_OUTPUT_PIXELS": Case(
        lambda: encoded(corners(), "png"), "1", "2", text="w=1001,h=1001,enlarge=1,fm=jpeg"
    ),
    "MAX_MEMORY": Case(lambda: encoded(large(1000), "avif"), "64", "128"),
    "CPU_SECONDS": Case(lambda: jpeg_of(6_000, 2_600), "1", "3600", others={"MAX_SCANS": "10000"}),
    "SVG": Case(lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "0", "1"),
    "TRUNCATED": Case(lambda: encoded(photograph(), "jpeg")[:9000], "strict", "lenient"),
}


def test_every_limit_has_a_case() -> None:
    assert set(CASES) == {spec.name for spec in LIMIT_SETTINGS}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_names_the_setting_that_raises_its_limit(name: str) -> None:
    case = CASES[name]
    data, expected = case.make(), [parse(case.text)]
    with IsolatedRenderer() as renderer:
        with pytest.raises(Refused) as refusal:
            renderer.render(data, expected, limits_with(name, case.low, case.others))
        reported = f"{refusal.value.message} {FIXES[refusal.value.reason]}"
        named = set(re.findall(r"IMAGE_PROCESSOR_(\w+)", reported))
        assert name in named
        assert named <= {spec.name for spec in ALL_SETTINGS}
        rendered = renderer.render(data, expected, limits_with(name, case.high, case.others))
    assert len(rendered.renditions) == 1


def limits_with(name: str, value: str, others: dict[str, str]):
    environment = {f"IMAGE_PROCESSOR_{key}": text for key, text in {**others, name: value}.items()}
    return from_environment(environment).limits
