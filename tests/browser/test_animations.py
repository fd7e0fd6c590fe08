"""Chromium's decoders show animated PNG and AVIF sequences of ours, frame by frame, as they were drawn."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drawing import Pixels, animated, as_floats, flat, made
from playwright.sync_api import Browser, Page
from test_apng import SIZE, composed, drawn, premultiplied, written

COLOURS = ("red", "lime", "blue")
DELAYS = (40, 80, 120)

_DECODE = """async ([type, text]) => {
  const data = Uint8Array.from(atob(text), char => char.charCodeAt(0))
  const decoder = new ImageDecoder({data, type})
  await decoder.tracks.ready
  await decoder.completed
  const {frameCount, repetitionCount} = decoder.tracks.selectedTrack, frames = []
  for (let frameIndex = 0; frameIndex < frameCount; frameIndex++) {
    const {image} = await decoder.decode({frameIndex})
    const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight).getContext('2d')
    canvas.drawImage(image, 0, 0)
    const {width, height, data} = canvas.getImageData(0, 0, image.displayWidth, image.displayHeight)
    frames.push({delay: image.duration / 1000, width, height, pixels: Array.from(data)})
  }
  return {frames, repeats: repetitionCount === Infinity ? null : repetitionCount}
}"""


@pytest.fixture
def secure_page(browser: Browser) -> Iterator[Page]:
    """ImageDecoder is there for secure pages only."""
    page = browser.new_page()
    page.route("**/*", lambda route: route.fulfill(body="<title>empty</title>"))
    page.goto("http://localhost/")
    yield page
    page.close()


def decoded(page: Page, media_type: str, body: bytes) -> tuple[dict[str, Any], list[Pixels]]:
    found = page.evaluate(_DECODE, [media_type, base64.b64encode(body).decode()])
    frames = [
        np.array(frame["pixels"], dtype=float).reshape(frame["height"], frame["width"], 4)
        for frame in found["frames"]
    ]
    return found, frames


def test_the_composition_of_an_animated_png_is_chromiums(secure_page: Page) -> None:
    for seed in range(4):
        frames = drawn(seed, "RGBA")
        original = written(frames, SIZE)
        for body in (original, made(original, "fm=apng").body):
            _, shown = decoded(secure_page, "image/png", body)
            assert len(shown) == len(frames)
            for got, wanted in zip(shown, composed(frames, SIZE), strict=True):
                assert np.abs(premultiplied(got) - premultiplied(wanted)).max() <= 3


@pytest.mark.parametrize(("loop", "repeats"), [(0, None), (1, 0), (3, 2)])
@pytest.mark.parametrize(("format_name", "media_type"), [("apng", "image/png"), ("avifs", "image/avif")])
def test_frames_delays_and_loops_are_what_was_asked_for(
    secure_page: Page, format_name: str, media_type: str, loop: int, repeats: int | None
) -> None:
    pictures = [flat(colour, size=(24, 18)) for colour in COLOURS]
    data = animated(pictures, "webp", DELAYS, loop=loop, lossless=True)
    found, shown = decoded(secure_page, media_type, made(data, f"fm={format_name}").body)
    assert [frame["delay"] for frame in found["frames"]] == list(DELAYS)
    assert found["repeats"] == repeats
    for got, picture in zip(shown, pictures, strict=True):
        assert np.abs(got - as_floats(picture.convert("RGBA"))).max() <= 12
