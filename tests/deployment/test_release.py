"""A release is complete, the same each time, and deploys the same stack as a checkout does."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import build
import client_packages
import pinned
import pytest
import release
import sbom
from linters import Json, translate, translated
from template_file import load

NAMES = {
    *(f"{package}-{arch}.zip" for package in build.PACKAGES for arch in build.PLATFORMS),
    *(f"sbom-{name}.json" for name in pinned.REQUIREMENTS),
    "client.whl",
    "template.json",
    "SHA256SUMS",
}


def build_little(package: build.Package, arch: str, into: Path) -> None:
    """A package that only tells what it is of."""
    into.mkdir(exist_ok=True)
    (into / "package.txt").write_text(f"{package.requirements} {arch}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(build, "build", build_little)
    monkeypatch.setattr(client_packages, "build", lambda into: (into / "client.whl").write_bytes(b"wheel"))
    assert release.main(["--into", str(tmp_path)]) == 0
    return tmp_path / release.release_name()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("release") / "template.json"
    template = load()
    file.write_text(json.dumps(release.packaged(template, release.packages_of(release.MAKEFILE))))
    return file


def test_it_holds_packages_template_bills_and_checksums(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == NAMES
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == NAMES - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    with zipfile.ZipFile(folder / "api-x86_64.zip") as archive:
        assert archive.read("package.txt") == b"lambda-api.txt x86_64"


def test_the_same_checkout_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert release.main(["--into", str(tmp_path / "again")]) == 0
    for file in folder.iterdir():
        assert (tmp_path / "again" / folder.name / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_failure_leaves_the_former_release(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sbom, "main", lambda _: 1)
    before = (folder / "SHA256SUMS").read_text()
    assert release.main(["--into", str(folder.parent)]) == 1
    assert "expected no known vulnerability" in capsys.readouterr().err
    assert (folder / "SHA256SUMS").read_text() == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def codes(translation: Json) -> dict[str, Any]:
    """The functions' code, taken out, with what tells `sam build` how to make it."""
    functions = {
        name: row for name, row in translation["Resources"].items() if row["Type"] == "AWS::Lambda::Function"
    }
    for row in functions.values():
        row.pop("Metadata", None)
    return {name: row["Properties"].pop("Code") for name, row in functions.items()}


def test_every_function_has_its_package_in_the_bucket(template: Path) -> None:
    (translation,) = translate({}, template=template)
    packages = release.packages_of(release.MAKEFILE)
    for name, code in codes(translation).items():
        assert code == {
            "S3Bucket": {"Ref": "ArtifactBucket"},
            "S3Key": {"Fn::Sub": f"{release.release_name()}/{packages[name]}-arm64.zip"},
        }
        assert f"{packages[name]}-arm64.zip" in NAMES


def test_the_rest_of_the_stack_is_that_of_a_checkout(template: Path) -> None:
    """Which linters judge. They do not know SAM's names in Fn::Sub."""

    def rest(translation: Json) -> Json:
        """Without code, and with names of versions and deployments that do not tell their hash."""
        codes(translation)
        text = re.sub(r"(Version|Deployment|deployment id: )[0-9a-f]{10,}", r"\1", json.dumps(translation))
        # A release has Fn::Sub for Ref where SAM's names are meant.
        text = re.sub(r'\{"Fn::Sub": "\$\{(\w+)\}"\}', r'{"Ref": "\1"}', text)
        found: Json = json.loads(text)
        return found

    (translation,) = translate({}, template=template)
    released = rest(translation)
    added = released["Parameters"].keys() - translated()["Parameters"].keys()
    assert added == {"ArtifactBucket", "ArtifactPrefix"}
    for name in added:
        del released["Parameters"][name]
    (checkout,) = translate({})
    assert released == rest(checkout)


def test_another_release_is_another_version_of_each_function(template: Path) -> None:
    """As is another Release, which tells of changed parameters."""
    one, same, other, reported = (
        {name for name, row in translation["Resources"].items() if row["Type"] == "AWS::Lambda::Version"}
        for translation in translate(
            {"ArtifactPrefix": "one/"},
            {"ArtifactPrefix": "one/"},
            {"ArtifactPrefix": "other/"},
            {"ArtifactPrefix": "one/", "Release": "r2"},
            template=template,
        )
    )
    assert one == same
    assert one.isdisjoint(other)
    assert one.isdisjoint(reported)


def test_a_function_without_a_package_is_an_error() -> None:
    packages = release.packages_of(release.MAKEFILE)
    template = load()
    template["Resources"]["OtherFunction"] = {"Type": "AWS::Serverless::Function"}
    with pytest.raises(release.ReleaseError, match=r"got .*'OtherFunction'"):
        release.packaged(template, packages)
