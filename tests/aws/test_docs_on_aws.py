"""Blocks of commands that pages mark `run on AWS`, against the stack that all tests here share.

A page is followed in one shell, with the real `aws` and `image-processor`. Its region and its stack become
those of the tests. There is one deployment: of other calls of deploy.sh the arguments are checked, and a
`--dry-run` runs. CloudFront is not emulated, so a request to the CDN goes to the function *deliver*, which
gets the misses of CloudFront.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from page_reader import Account, Reader
from PIL import Image

from support.aws_emulation.deployed import Deployed
from support.aws_emulation.server import ROOT, EmulatedAws
from support.command_blocks import on_aws, to_run
from support.shell import check_printed

LEFT: Mapping[str, tuple[str, ...]] = {
    "docs/aws.md": ("small.jpg",),
    "docs/start-on-aws.md": ("w=640,fm=avif.avif",),
}
"""Renditions that a page leaves behind."""


@pytest.fixture(params=on_aws(), ids=lambda page: page.relative_to(ROOT).as_posix())
def reader(
    aws: EmulatedAws,
    system: Deployed,
    owner: Mapping[str, str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[Reader]:
    account = Account(aws, system)
    reader = Reader(tmp_path, request.param, account, owner)
    yield reader
    reader.shell.close()
    account.restore()


def test_the_commands_of_a_page_do_what_it_says(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = ""
    for block in to_run(ROOT / reader.name, on_aws=True):
        if block.kind == "text":
            check_printed(block.content, printed)
        else:
            printed = reader.run(block.content)
    reader.check_deployments(monkeypatch)
    for name in LEFT.get(reader.name, ()):
        with Image.open(reader.clone / name) as picture:
            assert picture.size == (320, 213)
