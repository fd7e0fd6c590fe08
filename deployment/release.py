"""Deployment: makes a release: the packages, a template that names them in a bucket, the clients, bills of
materials and checksums. `make release` calls it.

The template keeps its transform: SAM publishes versions of the functions at deployment, which a template that
was translated before could not. Its parameters ArtifactBucket and ArtifactPrefix say where the packages are.
A release is reproducible: the same checkout gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import build
import client_packages
import interpreter
import sbom
from template_file import Json, load

from image_processor import __version__

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = ROOT / "deployment" / "Makefile"
SUMS = "SHA256SUMS"

_TARGET = re.compile(r"^build-(\w+):\n\t.*build\.py (\w+) ", re.MULTILINE)
_FUNCTION = "AWS::Serverless::Function"


class ReleaseError(Exception):
    """The release cannot be made."""


def release(into: Path, architectures: Sequence[str]) -> Path:
    """Make the release in a folder of its own in ``into``; returns it. A folder that is there is replaced,
    and only by a complete release.

    Raises ReleaseError, BuildError, ClientError, NoInterpreter.
    """
    folder = into / release_name()
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        made, tree = Path(scratch, "made"), Path(scratch, "tree")
        made.mkdir()
        for package in build.PACKAGES:
            for arch in architectures:
                build.build(build.PACKAGES[package], arch, tree)
                build.pack(tree, made / f"{package}-{arch}.zip")
        template = packaged(load(), packages_of(MAKEFILE))
        (made / "template.json").write_text(json.dumps(template, indent=1) + "\n", encoding="utf-8")
        client_packages.build(made)
        if sbom.main(["--into", str(made)]):
            raise ReleaseError("expected no known vulnerability in the packages, got those above")
        (made / SUMS).write_text("".join(checksums(made)), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return folder


def release_name() -> str:
    return f"image-processor-{__version__}"


def packages_of(makefile: Path) -> dict[str, str]:
    """The package of each function by its logical id, as `sam build` makes them."""
    return dict(_TARGET.findall(makefile.read_text(encoding="utf-8")))


def packaged(template: Json, packages: Mapping[str, str]) -> Json:
    """``template`` with each function's code in the bucket ArtifactBucket. Raises ReleaseError."""
    functions = {name for name, row in template["Resources"].items() if row["Type"] == _FUNCTION}
    if functions != packages.keys():
        raise ReleaseError(f"expected the functions {sorted(packages)}, got {sorted(functions)}")
    artifacts = {
        "ArtifactBucket": {
            "Type": "String",
            "AllowedPattern": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            "Description": "Bucket in the stack's region that holds the files of the release.",
        },
        "ArtifactPrefix": {
            "Type": "String",
            "Default": f"{release_name()}/",
            "AllowedPattern": "([A-Za-z0-9._-]+/)*",
            "Description": "What the keys of these files begin with.",
        },
    }
    resources = {
        name: _from_bucket(row, packages[name]) if name in packages else row
        for name, row in template["Resources"].items()
    }
    released = {**template, "Parameters": {**artifacts, **template["Parameters"]}, "Resources": resources}
    found: Json = _without_sam_references(released)
    return found


def _without_sam_references(node: Any) -> Any:
    """``node`` with each Ref of what SAM makes, such as `DeliverFunction.Alias`, as Fn::Sub: SAM reads both,
    and the AWS CDK only this."""
    if isinstance(node, list):
        return [_without_sam_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"} and "." in node["Ref"]:
        return {"Fn::Sub": f"${{{node['Ref']}}}"}
    return {name: _without_sam_references(value) for name, value in node.items()}


def _from_bucket(function: Json, package: str) -> Json:
    key = f"${{ArtifactPrefix}}{package}-${{Architecture}}.zip"
    code = {"Bucket": {"Ref": "ArtifactBucket"}, "Key": {"Fn::Sub": key}}
    rest = {name: value for name, value in function.items() if name != "Metadata"}
    return {**rest, "Properties": {**function["Properties"], "CodeUri": code}}


def checksums(folder: Path) -> Iterator[str]:
    """A line for each file, as `sha256sum --check` reads it."""
    for file in sorted(folder.iterdir()):
        yield f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the files of a release.")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder for the release's folder")
    parser.add_argument(
        "--arch", choices=build.PLATFORMS, action="append", help="only this architecture; repeatable"
    )
    options = parser.parse_args(arguments)
    try:
        folder = release(options.into, options.arch or list(build.PLATFORMS))
    except (
        ReleaseError,
        build.BuildError,
        client_packages.ClientError,
        interpreter.NoInterpreter,
    ) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"release: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
