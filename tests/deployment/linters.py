"""Linters of the template: SAM's translator, cfn-lint, checkov, parliament and shellcheck, each as
a program of .venv-template, because their pins contradict those of the tests.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
DEPLOYMENT = ROOT / "deployment"
TEMPLATE = DEPLOYMENT / "template.yaml"
TOOLS = ROOT / ".venv-template" / "bin"

Json = dict[str, Any]


def run(tool: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    program = TOOLS / tool
    assert program.exists(), f"expected {program.relative_to(ROOT)}: run `make unit` once to install it"
    return subprocess.run(
        [str(program), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        # checkov reads its configuration from the folder it is in.
        cwd=ROOT,
    )


def translate(*parameters: dict[str, str], template: Path = TEMPLATE) -> list[Json]:
    """What CloudFormation gets of a template, once for each set of parameters.

    SAM reads few of them: Release and EnableCanary. CloudFormation decides the others later.
    """
    script = Path(__file__).with_name("translate.py")
    done = run("python", script, template, *map(json.dumps, parameters))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@cache
def translated() -> Json:
    """The template as it is deployed. Translated once for all tests: do not change it."""
    (template,) = translate({})
    return template


@contextmanager
def written(template: Json) -> Iterator[Path]:
    """A file that holds ``template``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "template.json")
        file.write_text(json.dumps(template))
        yield file


def lint(template: Path) -> set[tuple[str, str]]:
    """cfn-lint's findings: rule and message. It lints what SAM makes of a template."""
    done = run("cfn-lint", "--format", "json", template)
    return {(found["Rule"]["Id"], found["Message"]) for found in json.loads(done.stdout or "[]")}


def checkov(template: Path) -> set[tuple[str, str]]:
    """checkov's findings: rule and the logical id of the resource."""
    done = run(
        "checkov", "--file", template, "--framework", "cloudformation", "--skip-download", "--output", "json"
    )
    failed = json.loads(done.stdout)["results"]["failed_checks"]
    return {(found["check_id"], found["resource"].rpartition(".")[2]) for found in failed}


def parliament(policy: Json) -> set[str]:
    """parliament's findings in a policy: their names."""
    done = run("parliament", "--json", stdin=json.dumps(policy))
    return {json.loads(line)["issue"] for line in done.stdout.splitlines()}
