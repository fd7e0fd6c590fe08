"""A running server for the clients' tests: with a token, a signing key and a small recipe."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client_site import SIGNING_KEY, Site

from image_processor.config.tokens import Scope, create_token
from support.served import Served

RECIPE = """
[presets.small]
widths = [32, 64]
formats = ["webp", "jpeg"]
[[rules]]
match = "private/**"
presets = []
[[rules]]
match = "**"
presets = ["small"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    token, line = create_token(Scope.WRITE, "writer")
    read_token, read_line = create_token(Scope.READ, "reader")
    settings = {
        "IMAGE_PROCESSOR_TOKENS": f"{line},{read_line}",
        "IMAGE_PROCESSOR_SIGNING_KEYS": SIGNING_KEY,
        "IMAGE_PROCESSOR_WORKERS": "1",
        "IMAGE_PROCESSOR_MAX_BYTES": "1",
    }
    server = Served(folder, RECIPE, settings)
    server.start()
    yield Site(server.address, token, read_token, SIGNING_KEY, folder / "data" / "uploads")
    server.close()
