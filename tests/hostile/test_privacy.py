"""No metadata of an original is in a rendition, neither for a search for canaries nor for exiftool: every
input format, every output format, every policy on colour profiles.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.models import IccPolicy, Limits, RenderedImage
from image_processor.domain.transformation import parse
from image_processor.engine.worker.isolation import IsolatedRenderer

from .metadata_canaries import CANARY, ICC_CANARY, WITH_CANARIES, canaries_in, secret

WANTED = [parse(f"w=20,fm={name}") for name in WRITABLE] + [parse(f"fm={name}") for name in WRITABLE]
WANTED += [parse("w=20,lossless=1,fm=webp"), parse("w=20,colours=16,fm=png"), parse("w=20,prog=1,fm=jpeg")]

_TRACK = """ChunkOffset GraphicsMode HandlerType ImageHeight ImageWidth MatrixStructure MediaCreateDate
    MediaDuration MediaHeaderVersion MediaLanguageCode MediaModifyDate MediaTimeScale OpColor OtherFormat
    QuickTime_OtherSampleDesc_0x0018 SampleSizes SampleToChunk SyncSampleTable TimeToSampleTable
    TrackCreateDate TrackDuration TrackHeaderVersion TrackID TrackLayer TrackModifyDate TrackVolume
    Unknown_auxi Unknown_auxl Unknown_av1C Unknown_ccst Unknown_colr Unknown_edts"""
_NO_DATE = "0000:00:00 00:00:00"

# What exiftool may report of a rendition: its pixels and their encoding.
_STRUCTURE = {
    "File": """MIMEType EncodingProcess ColorComponents ExifByteOrder ImageWidth ImageHeight FileType
        BitsPerSample FileTypeExtension YCbCrSubSampling""",
    "PNG": """AnimationFrames AnimationPlays BitDepth ColorType Compression Filter ImageHeight ImageWidth
        Interlace ProfileName Palette Transparency""",
    "PNG-pHYs": "PixelUnits PixelsPerUnitX PixelsPerUnitY",
    "GIF": """AnimationIterations BackgroundColor BitsPerPixel ColorResolutionDepth Duration FrameCount
        GIFVersion HasColorMap ImageHeight ImageWidth TransparentColor""",
    "RIFF": """AnimationLoopCount BackgroundColor Duration HorizontalScale ImageHeight ImageWidth VP8Version
        VerticalScale WebP_Flags AlphaPreprocessing AlphaFiltering AlphaCompression ImageBitstreamVersion
        AlphaIsUsed""",
    "IFD0": """BitsPerSample Compression ExtraSamples ImageHeight ImageWidth Orientation
        PhotometricInterpretation PlanarConfiguration Predictor ResolutionUnit RowsPerStrip SampleFormat
        SamplesPerPixel StripByteCounts StripOffsets XResolution YResolution""",
    "QuickTime": """AV1ConfigurationVersion AuxiliaryImageType ChromaFormat ChromaSamplePosition
        CompatibleBrands HandlerType ImagePixelDepth ImageSpatialExtent InitialDelaySamples MajorBrand
        MediaData MediaDataOffset MediaDataSize MinorVersion SeqProfile SeqTier0 ColorPrimaries
        ColorProfiles CreateDate CurrentTime Duration MatrixCoefficients MatrixStructure ModifyDate
        MovieHeaderVersion NextTrackID PosterTime PreferredRate PreferredVolume PreviewDuration PreviewTime
        QuickTime_ColorRep_0x000a SelectionDuration SelectionTime TimeScale TransferCharacteristics""",
    **dict.fromkeys(("Track1", "Track2"), _TRACK),
    "Meta": "PrimaryItemReference",
    "Composite": "AvgBitrate ImageSize Megapixels",
    "JFIF": "JFIFVersion ResolutionUnit XResolution YResolution",
    "ExifTool": "ExifToolVersion",
}
_ALLOWED = {f"{group}:{name}" for group, names in _STRUCTURE.items() for name in names.split()}


@pytest.fixture(scope="module")
def renditions() -> dict[tuple[str, IccPolicy], tuple[RenderedImage, ...]]:
    """The renditions of every original with canaries, by its format and the policy."""
    with IsolatedRenderer() as renderer:
        return {
            (name, icc): renderer.render(make(), WANTED, Limits(svg=True), icc=icc).renditions
            for name, make in WITH_CANARIES.items()
            for icc in IccPolicy
        }


def test_every_format_has_canaries() -> None:
    assert set(WITH_CANARIES) == set(FORMATS)
    for name, make in WITH_CANARIES.items():
        assert make().count(CANARY) >= 10, name


def test_the_search_finds_hidden_canaries() -> None:
    with_deflated = WITH_CANARIES["png"]()
    assert any("deflated" in found for found in canaries_in(with_deflated))
    assert canaries_in(CANARY.decode().encode("utf-16-le"))
    assert canaries_in(b"\0" + CANARY[:4][::-1])
    assert canaries_in(b"nothing") == []


@pytest.mark.parametrize("icc", list(IccPolicy))
@pytest.mark.parametrize("name", list(WITH_CANARIES))
def test_no_canary_is_in_a_rendition(
    renditions: dict[tuple[str, IccPolicy], tuple[RenderedImage, ...]], name: str, icc: IccPolicy
) -> None:
    for rendition in renditions[name, icc]:
        assert canaries_in(rendition.body) == [], rendition.transformation
        wide = ICC_CANARY.encode("utf-16-be")
        assert icc is IccPolicy.PRESERVE or wide not in rendition.body, rendition.transformation


def test_a_preserved_profile_is_found(
    renditions: dict[tuple[str, IccPolicy], tuple[RenderedImage, ...]],
) -> None:
    """Shows that the search can find a profile."""
    kept = [
        each.metadata.format for each in renditions["jpeg", IccPolicy.PRESERVE] if _holds_profile(each.body)
    ]
    assert {"jpeg", "webp", "avif", "tiff"} <= set(kept)


def _holds_profile(body: bytes) -> bool:
    return ICC_CANARY.encode("utf-16-be") in body


@pytest.fixture(scope="module")
def seen(
    renditions: dict[tuple[str, IccPolicy], tuple[RenderedImage, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, dict[str, Any]]]:
    """The tags that exiftool reports for originals and renditions, by file name."""
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        missing = "PRIVACY WAS NOT TESTED: expected exiftool on the PATH (libimage-exiftool-perl), got none"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    folder = tmp_path_factory.mktemp("privacy")
    for name, make in WITH_CANARIES.items():
        (folder / f"original.{name}").write_bytes(make())
    for (name, icc), result in renditions.items():
        for number, rendition in enumerate(result):
            (folder / f"{name},{icc},{number}.{rendition.metadata.format}").write_bytes(rendition.body)
    # All tags, also unknown and binary ones, and those of embedded files.
    command = [exiftool, "-ext", "*", "-a", "-G1", "-s", "-u", "-U", "-ee", "-json", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    yield {Path(file["SourceFile"]).name: file for file in json.loads(done.stdout)}
    shutil.rmtree(folder)


def test_exiftool_finds_the_canaries_in_originals(seen: dict[str, dict[str, Any]]) -> None:
    for name in set(WITH_CANARIES) - {"svg", "gif"}:
        tags = seen[f"original.{name}"]
        # In JSON exiftool reports a repeated tag once.
        assert tags.get("ExifIFD:SerialNumber") == secret("serial").decode(), name
        assert tags.get("ExifIFD:OwnerName") == secret("owner").decode(), name
        assert "GPS:GPSLatitude" in tags, name
        assert tags.get("XMP-dc:Rights") == secret("xmprights").decode(), name
        assert "IFD1:ThumbnailImage" in tags or name == "tiff", name
    assert seen["original.jpeg"]["IPTC:City"] == seen["original.tiff"]["IPTC:City"] == secret("city").decode()
    assert secret("comment").decode() in seen["original.gif"].values()


def test_exiftool_finds_only_structure_in_renditions(seen: dict[str, dict[str, Any]]) -> None:
    others = {name: tags for name, tags in seen.items() if not name.startswith("original.")}
    assert len(others) == len(WITH_CANARIES) * len(IccPolicy) * len(WANTED)
    for name, tags in others.items():
        icc = IccPolicy(name.split(",")[1])
        shown = {tag for tag in tags if not tag.startswith(("SourceFile", "System:"))}
        profiles = {tag for tag in shown if tag.startswith("ICC")}
        assert shown - profiles <= _ALLOWED, name
        assert {tags[tag] for tag in shown - profiles if tag.endswith("Date")} <= {_NO_DATE}, name
        assert not profiles or icc is not IccPolicy.STRIP, name
        text = json.dumps({tag: value for tag, value in tags.items() if tag in shown - profiles})
        assert CANARY.decode() not in text
        assert "1234" not in str([tags.get(f"{group}:XResolution") for group in ("IFD0", "JFIF")]), name
