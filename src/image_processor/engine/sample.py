"""Draws the sample photograph that an empty library offers, so that the first look is never blank.

A mountain lake at dusk, with a sailing boat off centre for the smart crop to find.
"""

from __future__ import annotations

import pyvips

from . import runtime

_WIDTH, _HEIGHT = 2400, 1600
_SHORE = 1060  # where the lake begins, in pixels from the top
_SUN = (1130, 800)
_BOAT = (1700, 1290)

Ink = tuple[float, float, float]
_DUSK: Ink = (52, 66, 124)
_ROSE: Ink = (222, 128, 124)
_GLOW: Ink = (255, 214, 150)
_LIGHT: Ink = (255, 246, 222)
_WATER: Ink = (30, 48, 92)
_SAIL: Ink = (250, 244, 232)
_HULL: Ink = (196, 44, 40)

# Height of the crest over the shore, how wild it is, seed, colour: from far to near.
_RIDGES: tuple[tuple[float, float, int, Ink], ...] = (
    (270, 420, 3, (164, 122, 146)),
    (150, 300, 5, (112, 88, 128)),
    (50, 190, 8, (58, 54, 92)),
)


def draw_sample() -> bytes:
    """A JPEG of 2400 x 1600 pixels, some hundred kilobytes; the same bytes every time."""
    runtime.start()
    scene = _lake(_mountains(_sun(_sky())))
    scene = _boat(scene)
    # A little grain: without it the sky shows steps, and no photograph is that clean.
    grain = pyvips.Image.gaussnoise(_WIDTH, _HEIGHT, mean=0, sigma=2.5, seed=1)
    finished = (scene + grain).cast("uchar").copy(interpretation="srgb")
    return bytes(finished.jpegsave_buffer(Q=85, optimize_coding=True, keep="none"))


def _sky() -> pyvips.Image:
    height = _axes()[1] / _SHORE
    sky = _over(_flat(_DUSK), _ROSE, _ramp(height, 0.1, 0.75))
    return _over(sky, _GLOW, _ramp(height, 0.55, 1.0))


def _sun(scene: pyvips.Image) -> pyvips.Image:
    distance = _distance(_SUN)
    halo = _ramp(distance, 620, 0)
    scene = _over(scene, _GLOW, halo * halo * 0.8)
    return _over(scene, _LIGHT, _ramp(distance, 92, 88))


def _mountains(scene: pyvips.Image) -> pyvips.Image:
    for crest, wildness, seed, ink in _RIDGES:
        line = _SHORE - crest - _wander(wildness, seed)
        below = _axes()[1] - line
        # Mist lies in the valleys: the lower, the paler.
        slope = _over(_flat(ink), _GLOW, _ramp(below, 0, crest + wildness) * 0.35)
        scene = _over(scene, slope, _ramp(below, -0.5, 0.5))
    return scene


def _lake(scene: pyvips.Image) -> pyvips.Image:
    """Below the shore the scene stands on its head, darker and stirred by waves."""
    across, down = _axes()
    depth = down - _SHORE
    waves = pyvips.Image.perlin(_WIDTH, _HEIGHT, cell_size=64, seed=21).resize(1, vscale=0.25)
    stir = waves.replicate(1, 4).crop(0, 0, _WIDTH, _HEIGHT) * (depth * 0.05 + 1)
    mirrored = _SHORE - depth * 1.9 + stir * 6
    index = (across + stir * 3).clamp(min=0, max=_WIDTH - 2).bandjoin(mirrored.clamp(min=0, max=_HEIGHT - 2))
    # In memory first: the mirror reads from below to above, and would draw every line many times.
    scene = scene.cast("uchar").copy_memory()
    reflection = scene.mapim(index)
    water = _over(reflection, _WATER, _ramp(depth, 0, 700) * 0.55 + 0.25)
    return _over(scene, water, _ramp(depth, -0.5, 0.5))


def _boat(scene: pyvips.Image) -> pyvips.Image:
    left, water_line = _BOAT
    across, down = _axes()
    x, up = across - left, water_line - down
    # Each shape is the least of its distances from the straight lines that bound it.
    main_sail = _least(x - 4, up - 34, (350 - up) * 0.5 - x)
    fore_sail = _least(-8 - x, up - 44, x + (300 - up) * 0.42)
    hull = _least(up + 6, 26 - up, x + 120 + up * 0.8, 150 + up * 1.2 - x)
    shadow = _least(-6 - up, up + 60, x + 110 + up, 130 + up - x)
    scene = _over(scene, _WATER, _ramp(shadow, 0, 30) * 0.6)
    for shape, ink in ((main_sail, _SAIL), (fore_sail, _GLOW), (hull, _HULL)):
        scene = _over(scene, ink, _ramp(shape, -0.7, 0.7))
    return scene


def _axes() -> tuple[pyvips.Image, pyvips.Image]:
    grid = pyvips.Image.xyz(_WIDTH, _HEIGHT)
    return grid[0], grid[1]


def _distance(point: tuple[int, int]) -> pyvips.Image:
    across, down = _axes()
    return ((across - point[0]) ** 2 + (down - point[1]) ** 2) ** 0.5


def _wander(wildness: float, seed: int) -> pyvips.Image:
    """A mountain's outline: the same noise at four scales, each finer one weaker, for every row."""
    line = pyvips.Image.black(_WIDTH, 1)
    for octave in range(4):
        noise = pyvips.Image.perlin(_WIDTH, 512, cell_size=512 >> octave, seed=seed + octave)
        line += noise.crop(0, 100 >> octave, _WIDTH, 1) * (wildness / 2 ** (1.4 * octave))
    return line.replicate(1, _HEIGHT)


def _flat(ink: Ink) -> pyvips.Image:
    return pyvips.Image.black(_WIDTH, _HEIGHT, bands=3) + list(ink)


def _ramp(values: pyvips.Image, start: float, end: float) -> pyvips.Image:
    """0 up to ``start``, 1 from ``end`` on (or the other way round), straight in between."""
    return ((values - start) / (end - start)).clamp()


def _least(first: pyvips.Image, *others: pyvips.Image) -> pyvips.Image:
    return first.bandrank(list(others), index=0)


def _over(scene: pyvips.Image, ink: Ink | pyvips.Image, mask: pyvips.Image) -> pyvips.Image:
    """``ink`` laid over the scene where the mask is 1; in parts where it is less."""
    colour = _flat(ink) if isinstance(ink, tuple) else ink
    return scene * (1 - mask) + colour * mask
