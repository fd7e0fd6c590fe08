"""Draws the sample image that an empty library offers.

A mountain lake at dusk, with a sailing boat off centre for the smart crop to find.
"""

from __future__ import annotations

import pyvips

from . import runtime

_WIDTH, _HEIGHT = 2400, 1600
_DOT = 2  # drawn at half the size and scaled up: a quarter of the work, and as soft as a lens
_ACROSS, _DOWN = _WIDTH // _DOT, _HEIGHT // _DOT
_SHORE = 1060  # the top of the lake, in pixels
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

# Height of the crest above the shore, its variation, random seed, colour: from far to near.
_RIDGES: tuple[tuple[float, float, int, Ink], ...] = (
    (270, 420, 3, (164, 122, 146)),
    (150, 300, 5, (112, 88, 128)),
    (50, 190, 8, (58, 54, 92)),
)


def draw_sample() -> bytes:
    """A JPEG of 2400 x 1600 pixels, a few hundred kilobytes; the same bytes every time."""
    runtime.start()
    scene = _lake(_mountains(_sun(_sky())))
    scene = _boat(scene)
    # A little grain hides banding in the sky. It is tiled, since noise takes longer to draw than all else.
    grain = pyvips.Image.gaussnoise(_WIDTH // 4, _HEIGHT // 4, mean=0, sigma=2.5, seed=1).copy_memory()
    large = scene.cast("uchar").resize(_DOT, kernel="cubic")
    finished = (large + grain.replicate(4, 4)).cast("uchar").copy(interpretation="srgb")
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
    for crest, variation, seed, ink in _RIDGES:
        line = _SHORE - crest - _wander(variation, seed)
        below = _axes()[1] - line
        # Mist in the valleys: paler at the bottom.
        slope = _over(_flat(ink), _GLOW, _ramp(below, 0, crest + variation) * 0.35)
        scene = _over(scene, slope, _edge(below))
    return scene


def _lake(scene: pyvips.Image) -> pyvips.Image:
    """Below the shore the scene is mirrored, darker and distorted by waves."""
    across, down = _axes()
    depth = down - _SHORE
    waves = pyvips.Image.perlin(_ACROSS, _DOWN, cell_size=32, seed=21).resize(1, vscale=0.25)
    distortion = waves.replicate(1, 4).crop(0, 0, _ACROSS, _DOWN) * (depth * 0.05 + 1)
    mirrored = _SHORE - depth * 1.9 + distortion * 6
    x = ((across + distortion * 3) / _DOT).clamp(min=0, max=_ACROSS - 2)
    y = (mirrored / _DOT).clamp(min=0, max=_DOWN - 2)
    # In memory first: mapim reads from bottom to top, and would draw every line many times.
    scene = scene.cast("uchar").copy_memory()
    reflection = scene.mapim(x.bandjoin(y))
    water = _over(reflection, _WATER, _ramp(depth, 0, 700) * 0.55 + 0.25)
    return _over(scene, water, _edge(depth))


def _boat(scene: pyvips.Image) -> pyvips.Image:
    left, water_line = _BOAT
    across, down = _axes()
    x, up = across - left, water_line - down
    # Each shape is the minimum of the distances to the straight lines that bound it.
    main_sail = _minimum(x - 4, up - 34, (350 - up) * 0.5 - x)
    fore_sail = _minimum(-8 - x, up - 44, x + (300 - up) * 0.42)
    hull = _minimum(up + 6, 26 - up, x + 120 + up * 0.8, 150 + up * 1.2 - x)
    shadow = _minimum(-6 - up, up + 60, x + 110 + up, 130 + up - x)
    scene = _over(scene, _WATER, _ramp(shadow, 0, 30) * 0.6)
    for shape, ink in ((main_sail, _SAIL), (fore_sail, _GLOW), (hull, _HULL)):
        scene = _over(scene, ink, _edge(shape))
    return scene


def _axes() -> tuple[pyvips.Image, pyvips.Image]:
    """The position of each drawn pixel in pixels of the finished image, from the left and from the top."""
    grid = pyvips.Image.xyz(_ACROSS, _DOWN) * _DOT
    return grid[0], grid[1]


def _distance(point: tuple[int, int]) -> pyvips.Image:
    across, down = _axes()
    return ((across - point[0]) ** 2 + (down - point[1]) ** 2) ** 0.5


def _wander(variation: float, seed: int) -> pyvips.Image:
    """A mountain's outline: noise at four scales, each finer one weaker, repeated for every row."""
    line = pyvips.Image.black(_WIDTH, 1)
    for octave in range(4):
        noise = pyvips.Image.perlin(_WIDTH, 512, cell_size=512 >> octave, seed=seed + octave)
        line += noise.crop(0, 100 >> octave, _WIDTH, 1) * (variation / 2 ** (1.4 * octave))
    # In memory first, or the noise would be computed for every tile of the image.
    return line.subsample(_DOT, 1).copy_memory().replicate(1, _DOWN)


def _flat(ink: Ink) -> pyvips.Image:
    return pyvips.Image.black(_ACROSS, _DOWN, bands=3) + list(ink)


def _ramp(values: pyvips.Image, start: float, end: float) -> pyvips.Image:
    """0 up to ``start``, 1 from ``end`` on (or vice versa), linear in between."""
    return ((values - start) / (end - start)).clamp()


def _edge(inside: pyvips.Image) -> pyvips.Image:
    """1 inside a shape, 0 outside, smooth over one drawn pixel."""
    return _ramp(inside, -_DOT / 2, _DOT / 2)


def _minimum(first: pyvips.Image, *others: pyvips.Image) -> pyvips.Image:
    return first.bandrank(list(others), index=0)


def _over(scene: pyvips.Image, ink: Ink | pyvips.Image, mask: pyvips.Image) -> pyvips.Image:
    """``ink`` over the scene, with the mask (0-1) as its opacity."""
    colour = _flat(ink) if isinstance(ink, tuple) else ink
    return scene * (1 - mask) + colour * mask
