"""TIFF: pixels that are converted correctly are accepted, all others refused by name."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import tifffile
from drawing import encoded, near, photograph, picture_of, pixel_at
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.codecs.probe import probe
from image_processor.engine.codecs.tiff import Directory, Tag, is_truncated, read_directory
from image_processor.engine.render import render

Pixels = NDArray[np.generic]

ORANGE = (200, 100, 50)
FORMATS = {"u": 1, "i": 2, "f": 3}
TILE = 16


def tiff(
    pixels: Pixels,
    fields: Mapping[Tag, Sequence[int]] | None = None,
    *,
    order: str = "<",
    big: bool = False,
    tiled: bool = False,
) -> bytes:
    """An uncompressed TIFF of (rows, columns, samples), written by TIFF 6.0. ``fields``
    override; the directory is before the pixels, which end the file."""
    rows, columns, samples = pixels.shape
    pixels = pixels.astype(pixels.dtype.newbyteorder(order))
    blocks = _tiles(pixels) if tiled else [pixels[at : at + 8].tobytes() for at in range(0, rows, 8)]
    lengths = [len(block) for block in blocks]
    table = {
        Tag.WIDTH: [columns],
        Tag.HEIGHT: [rows],
        Tag.BITS: [8 * pixels.itemsize] * samples,
        Tag.COMPRESSION: [1],
        Tag.PHOTOMETRIC: [2 if samples > 2 else 1],
        Tag.SAMPLES: [samples],
        Tag.PLANAR: [1],
        Tag.SAMPLE_FORMAT: [FORMATS[pixels.dtype.kind]] * samples,
    }
    if tiled:
        table |= {Tag.TILE_WIDTH: [TILE], Tag.TILE_HEIGHT: [TILE], Tag.TILE_BYTES: lengths}
    else:
        table |= {Tag.ROWS_PER_STRIP: [8], Tag.STRIP_BYTES: lengths}
    where = Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS
    table |= {where: [0] * len(blocks)} | dict(fields or {})
    # The offsets follow from the directory's length, which does not depend on them.
    start = len(_directory(table, order, big=big))
    if where not in (fields or {}):
        table[where] = [start + sum(lengths[:index]) for index in range(len(blocks))]
    return _directory(table, order, big=big) + b"".join(blocks)


def _tiles(pixels: Pixels) -> list[bytes]:
    rows, columns, _ = pixels.shape
    padded = np.pad(pixels, ((0, -rows % TILE), (0, -columns % TILE), (0, 0)))
    return [
        padded[top : top + TILE, left : left + TILE].tobytes()
        for top in range(0, rows, TILE)
        for left in range(0, columns, TILE)
    ]


def _directory(table: Mapping[Tag, Sequence[int]], order: str, *, big: bool) -> bytes:
    """Header, directory and the values that do not fit into it; all values as LONG."""
    mark = b"II" if order == "<" else b"MM"
    word, counter = ("Q", "Q") if big else ("I", "H")
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))
    ingest = struct.calcsize(word)
    free = len(head) + struct.calcsize(f"{order}{counter}") + len(table) * (4 + 2 * ingest) + ingest
    entries, outside = b"", b""
    for tag, values in sorted(table.items()):
        content = struct.pack(f"{order}{len(values)}I", *values)
        pointed = struct.pack(order + word, free + len(outside))
        entries += struct.pack(f"{order}HH{word}", tag, 4, len(values))
        entries += content.ljust(ingest, b"\0") if len(content) <= ingest else pointed
        outside += content if len(content) > ingest else b""
    return head + struct.pack(order + counter, len(table)) + entries + bytes(ingest) + outside


def flat(values: Sequence[float], dtype: str = "u1", side: int = 40) -> Pixels:
    return np.full((side, side, len(values)), values, dtype)


def refusal_of(data: bytes, limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as refusal:
        render(data, [parse("w=20,fm=png")], limits or Limits())
    return refusal.value


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("tiled", [False, True], ids=["strips", "tiles"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
class TestEveryLayout:
    def test_is_read(self, *, order: str, big: bool, tiled: bool, dtype: str) -> None:
        scale = 1 if dtype == "u1" else 257
        data = tiff(flat([scale * value for value in ORANGE], dtype), order=order, big=big, tiled=tiled)
        assert pixel_at(picture_of(data, "fm=png"), 0.9, 0.9) == ORANGE

    def test_an_early_end_is_refused_wherever_it_is(
        self, *, order: str, big: bool, tiled: bool, dtype: str
    ) -> None:
        data = tiff(flat(ORANGE, dtype), order=order, big=big, tiled=tiled)
        assert not is_truncated(data)
        for end in [*range(16, len(data), 97), len(data) - 1]:
            assert refusal_of(data[:end]).reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("pixels", "fields", "got"),
    [
        (flat(ORANGE, "u4"), {}, "32 bits"),
        (flat(ORANGE, "i2"), {}, "16 bits signed"),
        (flat(ORANGE[:1], "i1"), {}, "8 bits signed"),
        (flat(ORANGE[:1], "u4"), {}, "32 bits"),
        (flat([0.5]), {Tag.BITS: [12]}, "12 bits"),
        (flat(ORANGE, "f4"), {}, "32 bits floating"),
        (flat([0.5], "f4"), {}, "32 bits floating"),
        (flat(ORANGE, "f8"), {}, "64 bits floating"),
        (flat(ORANGE), {Tag.BITS: [8, 8, 16]}, "8/16 bits"),
        (flat(ORANGE), {Tag.COMPRESSION: [34712]}, "JPEG 2000"),
        (flat(ORANGE), {Tag.COMPRESSION: [50000]}, "Zstandard"),
        (flat(ORANGE), {Tag.COMPRESSION: [12345]}, "number 12345"),
        (flat(ORANGE), {Tag.PHOTOMETRIC: [99]}, "interpretation 99"),
        (flat([1, 2, 3, 4]), {Tag.PHOTOMETRIC: [5], Tag.INK_SET: [2]}, "interpretation 5"),
        (flat([9] * 6), {}, "3-5 samples a pixel in a tiff, got 6"),
        (flat([9] * 500, "f4", side=8), {}, "got 500"),
        (flat([9]), {Tag.PHOTOMETRIC: [2]}, "3-5 samples a pixel in a tiff, got 1"),
    ],
)
def test_unsupported_pixels_are_refused_by_name(
    pixels: Pixels, fields: Mapping[Tag, Sequence[int]], got: str
) -> None:
    refusal = refusal_of(tiff(pixels, fields))
    assert refusal.reason is Reason.UNSUPPORTED_FORMAT
    assert got in refusal.message


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_usual_compressions_are_read(compression: str) -> None:
    data = encoded(photograph(), "tiff", compression=None if compression == "raw" else compression)
    assert probe(data, Limits()).width == photograph().width


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_black_and_white_compressions_are_read(compression: str) -> None:
    data = encoded(photograph().convert("1", dither=0), "tiff", compression=compression)
    expected = photograph().convert("1", dither=0).convert("RGB")
    assert picture_of(data, "fm=png").tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("values", "extra", "expected"),
    [
        ((*ORANGE, 128), [2], (*ORANGE, 128)),
        ((100, 50, 25, 128), [1], (*ORANGE, 128)),
        ((*ORANGE, 128), [0], ORANGE),
        ((*ORANGE, 128), [], (*ORANGE, 128)),
        ((*ORANGE, 128), [999], (*ORANGE, 128)),
        ((*ORANGE, 128, 7), [], ORANGE),
        ((*ORANGE, 128, 7), [2, 0], (*ORANGE, 128)),
        ((*ORANGE, 7, 128), [0, 0], ORANGE),
        ((77, 128), [2], (77, 77, 77, 128)),
        ((77, 128), [0], (77, 77, 77)),
        ((77, 128), [], (77, 77, 77)),
        ((77, 3, 2, 1), [0, 0, 0], (77, 77, 77)),
    ],
)
def test_alpha_is_what_the_file_says_or_other_readers_assume(
    values: Sequence[int], extra: Sequence[int], expected: Sequence[int]
) -> None:
    fields = {Tag.EXTRA_SAMPLES: extra} if extra else {}
    if values[0] == 77:
        fields |= {Tag.PHOTOMETRIC: [1]}
    data = tiff(flat(values), fields)
    assert probe(data, Limits()).alpha is (len(expected) == 4)
    for text in ("fm=png", "w=20,fm=png"):
        assert near(pixel_at(picture_of(data, text), 0.5, 0.5), expected, 2)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("kind", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
def test_samples_in_separate_planes_are_read(dtype: str, kind: str, extra: str) -> None:
    """libvips mixes up the rows of grey ones."""
    rows, columns = np.mgrid[0:16, 0:24]
    colours = [columns * 10, rows * 16, columns * 4 + rows * 8][: 3 if kind == "rgb" else 1]
    opacity = np.where(columns < 12, 51, 255)
    stored = [255 - colour if kind == "miniswhite" else colour for colour in colours]
    if extra == "assocalpha":
        colours = [colour * opacity // 255 * 255 // opacity for colour in colours]
        stored = [colour * opacity // 255 for colour in colours]
        stored = [255 - colour if kind == "miniswhite" else colour for colour in stored]
    planes = np.array([*stored, opacity]).astype(dtype) * (1 if dtype == "u1" else 257)
    file = io.BytesIO()
    options = {"photometric": kind, "planarconfig": "separate", "extrasamples": [extra], "rowsperstrip": 5}
    tifffile.imwrite(file, planes, **options)
    result = np.asarray(picture_of(file.getvalue(), "fm=png").convert("RGBA")).astype(int)
    alpha = np.full_like(opacity, 255) if extra == "unspecified" else opacity
    expected = [*(colours if kind == "rgb" else colours * 3), alpha]
    assert np.abs(result - np.stack(expected, -1)).max() <= (6 if extra == "assocalpha" else 1)


def test_separate_planes_in_tiles_are_refused_by_name() -> None:
    refusal = refusal_of(tiff(flat(ORANGE), {Tag.PLANAR: [2]}, tiled=True))
    assert (refusal.reason, "a plane for each" in refusal.message) == (Reason.UNSUPPORTED_FORMAT, True)


def test_cmyk_black_is_not_alpha() -> None:
    data = tiff(flat([0, 255, 255, 0, 128]), {Tag.PHOTOMETRIC: [5], Tag.EXTRA_SAMPLES: [0]})
    red, green, blue = pixel_at(picture_of(data, "fm=png"), 0.5, 0.5)
    assert red > 200
    assert max(green, blue) < 70


@pytest.mark.parametrize("count", [2**32 - 1, 2**31, 10**6])
def test_a_huge_count_allocates_nothing(count: int) -> None:
    data = bytearray(tiff(flat(ORANGE), {Tag.STRIP_OFFSETS: [0] * 5}))
    at = data.index(struct.pack("<HHI", Tag.STRIP_OFFSETS, 4, 5))
    data[at + 4 : at + 8] = struct.pack("<I", count)
    assert read_directory(bytes(data)) is None
    assert refusal_of(bytes(data)).reason is Reason.TRUNCATED


def test_a_huge_number_of_fields_allocates_nothing() -> None:
    assert is_truncated(b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**64 - 1) + bytes(500))
    assert is_truncated(b"MM\0*" + struct.pack(">IH", 8, 65535) + bytes(500))


def test_a_directory_beyond_the_end_is_truncation() -> None:
    assert refusal_of(b"II*\0" + struct.pack("<I", 5000) + bytes(300)).reason is Reason.TRUNCATED


def test_the_first_of_a_repeated_field_counts() -> None:
    """As in libtiff: otherwise one number would be checked and another one used."""
    first, second = (struct.pack("<HHII", Tag.SAMPLES, 4, 1, count) for count in (500, 3))
    data = b"II*\0" + struct.pack("<IH", 8, 2) + first + second
    directory = read_directory(data)
    assert isinstance(directory, Directory)
    assert directory.samples == 500


def test_memory_is_estimated_by_rows_of_tiles() -> None:
    size = {Tag.WIDTH: [10_000], Tag.HEIGHT: [9_000]}
    tile = {Tag.TILE_WIDTH: [4096], Tag.TILE_HEIGHT: [4096]}
    blocks = {Tag.TILE_OFFSETS: [500] * 9, Tag.TILE_BYTES: [9] * 9}
    refusal = refusal_of(tiff(flat([1, 2, 3, 4]), size | tile | blocks, tiled=True))
    assert refusal.reason is Reason.TOO_MANY_PIXELS
    assert refusal.message == (
        "expected at most 512 MiB of memory for decoding (IMAGE_PROCESSOR_MAX_MEMORY), "
        "got a tiff that takes 625 MiB"
    )
    # With strips of few lines, or so many that libvips reads line by line, the same image is accepted.
    for rows in (8, 9_000):
        strips = -(-9_000 // rows)
        blocks = {Tag.STRIP_OFFSETS: [500] * strips, Tag.STRIP_BYTES: [9] * strips}
        data = tiff(flat([1, 2, 3, 4]), size | blocks | {Tag.ROWS_PER_STRIP: [rows]})
        assert probe(data, Limits()).width == 10_000
        separate = data.replace(*(struct.pack("<HHII", Tag.PLANAR, 4, 1, kind) for kind in (1, 2)))
        assert rows == 8 or refusal_of(separate).reason is Reason.TOO_MANY_PIXELS


@given(st.binary(max_size=400), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]))
def test_any_bytes_are_parsed_without_a_crash(noise: bytes, mark: bytes) -> None:
    assert is_truncated(mark + noise) in {True, False}
