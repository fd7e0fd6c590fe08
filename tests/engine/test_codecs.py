"""The registry of codecs agrees with the table of formats."""

from __future__ import annotations

import pytest

from image_processor.domain.formats import FORMATS
from image_processor.engine.codecs.registry import CODECS


def test_every_format_has_one_codec() -> None:
    assert list(CODECS) == list(FORMATS)


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_does_what_its_format_promises(name: str) -> None:
    codec, format_ = CODECS[name], FORMATS[name]
    assert (codec.saver is not None or codec.encode is not None) == format_.writable
    assert (codec.package is not None) == (format_.extra is not None)
    assert (codec.loader is None) == (codec.package is not None or format_.read_as is not None)
    assert (codec.read_layout is None) == (codec.package is None or format_.read_as is not None)
    assert codec.vector <= (codec.open is not None)


def test_no_two_codecs_share_a_loader() -> None:
    loaders = [codec.loader for codec in CODECS.values() if codec.loader]
    assert len(set(loaders)) == len(loaders)
