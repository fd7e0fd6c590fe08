"""The peer's runtime: the Node that Lambda runs today, and AWS's own client of the Runtime API in it.

node_lambda/package-lock.json pins both. The client compiles itself and libcurl when it is installed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.aws_emulation.runtime_api import Function

from .node import install

FOLDER = Path(__file__).parent / "node_lambda"
_MODULES = FOLDER / "node_modules"
_DISTRIBUTION = _MODULES / f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}"
_NODE = _DISTRIBUTION / "bin" / "node"
_CLIENT = _MODULES / "aws-lambda-ric"
_COMPILED = _CLIENT / "rapid-client.node"
_TOOLS = {
    "autoconf": "autoconf",
    "automake": "automake",
    "cmake": "cmake",
    "g++": "g++",
    "libtoolize": "libtool",
    "make": "make",
    "python3": "python3",
    "xz": "xz-utils",
}
"""What compiling the client takes, and the Debian package of each."""


def missing() -> str | None:
    """Install what is not there. Returns what is missing for it, if anything is."""
    if not shutil.which("npm"):
        return "npm is missing"
    if not _COMPILED.exists():
        if absent := [package for tool, package in _TOOLS.items() if not shutil.which(tool)]:
            return (
                "AWS's runtime client for Node cannot be compiled without more tools: "
                f"apt-get install {' '.join(absent)}"
            )
        print("Compiling AWS's runtime client for Node, which takes about a minute.")
    # node-gyp would download the headers of Node, which are there.
    if not install(FOLDER, {"npm_config_nodedir": str(_DISTRIBUTION)}):
        return "the peer's packages cannot be installed; npm has said why"
    if not _COMPILED.exists():
        return (
            "AWS's runtime client for Node was installed without its install script, which compiles it: "
            f"remove {_MODULES.relative_to(FOLDER.parent.parent)} and let npm run it (ignore-scripts=false)"
        )
    return None


def name() -> str:
    """Which Node and which client it is, for a reader."""
    node, client = (
        subprocess.run(
            [_NODE, "--print", what], cwd=FOLDER, capture_output=True, text=True, check=True
        ).stdout.strip()
        for what in ("process.versions.node", "require('./node_modules/aws-lambda-ric/package.json').version")
    )
    return f"Node {node} with aws-lambda-ric {client}"


def bundle() -> None:
    """Make each function one minified file."""
    subprocess.run(["npm", "run", "--silent", "bundle"], cwd=FOLDER, check=True)


def function(module: str, environment: Mapping[str, str]) -> Function:
    """The function in that module of node_lambda/, bundled, as Lambda would start it."""
    handler = f"{_MODULES.name}/.bundle/{module}.handler"
    own = {
        "_HANDLER": handler,
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",  # what one core is sold with
        "AWS_LAMBDA_FUNCTION_NAME": "peer",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "peer",
        "AWS_LAMBDA_LOG_STREAM_NAME": "peer",
        "LAMBDA_TASK_ROOT": str(FOLDER),
        "PATH": os.defpath,
        "TZ": ":UTC",
    }
    command = (str(_NODE), str(_CLIENT / "index.mjs"), handler)
    return Function(command, FOLDER, {**own, **environment}, "peer")
