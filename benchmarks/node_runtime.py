"""The peer's runtime: Lambda's version of Node with AWS's runtime client (aws-lambda-ric).

node_lambda/package-lock.json pins both. Installing the client compiles it and libcurl.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.aws_emulation.runtime_api import Function

from .npm import install

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
"""The tools that compile the client, and the Debian package of each."""


def missing() -> str | None:
    """Install the peer. Returns what is missing for that, None if nothing is."""
    if not shutil.which("npm"):
        return "npm is missing"
    if not _COMPILED.exists():
        if absent := [package for tool, package in _TOOLS.items() if not shutil.which(tool)]:
            return (
                "AWS's runtime client for Node cannot be compiled without more tools: "
                f"apt-get install {' '.join(absent)}"
            )
        print("Compiling AWS's runtime client for Node, which takes about a minute.")
    # node-gyp would otherwise download the headers that the installed Node brings.
    if not install(FOLDER, {"npm_config_nodedir": str(_DISTRIBUTION)}):
        return "npm failed to install the peer's packages; see its output"
    if not _COMPILED.exists():
        return (
            "AWS's runtime client for Node was installed without its install script, which compiles it: "
            f"remove {_MODULES.relative_to(FOLDER.parent.parent)} and allow it (ignore-scripts=false)"
        )
    return None


def name() -> str:
    """The versions of Node and of the client."""
    node, client = (
        subprocess.run(
            [_NODE, "--print", expression], cwd=FOLDER, capture_output=True, text=True, check=True
        ).stdout.strip()
        for expression in (
            "process.versions.node",
            "require('./node_modules/aws-lambda-ric/package.json').version",
        )
    )
    return f"Node {node} with aws-lambda-ric {client}"


def bundle() -> None:
    """Bundle each function of node_lambda/ into one minified file."""
    subprocess.run(["npm", "run", "--silent", "bundle"], cwd=FOLDER, check=True)


def function(module: str, environment: Mapping[str, str]) -> Function:
    """The bundled function of ``module`` in node_lambda/, as Lambda would start it."""
    handler = f"{_MODULES.name}/.bundle/{module}.handler"
    own = {
        "_HANDLER": handler,
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",  # the memory size that comes with one core
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
