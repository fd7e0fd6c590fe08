"""Reads a file from the package that a deployed function runs. deployment/recipe_source.py does, too."""

from __future__ import annotations

import io
import urllib.request
import zipfile

from image_processor.domain.errors import Unavailable

_SECONDS = 60


def read_from_package(url: str, name: str) -> str:
    """The text of the file ``name``. ``url`` is what GetFunction returns, presigned for ten minutes.

    Raises Unavailable if the package or the file cannot be read.
    """
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as response:  # noqa: S310 - Lambda's own answer
            archive = zipfile.ZipFile(io.BytesIO(response.read()))
        return archive.read(name).decode()
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise Unavailable(f"cannot read {name} in the package of the function: {error}") from error
