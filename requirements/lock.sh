#!/bin/sh
# Pin every requirement by version and hash, for every Python from 3.11 on and every platform.
# The files name no index: they install from whatever index pip is set up with.
set -eu
cd "$(dirname "$0")/.."
lock() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}
lock --group build --output-file requirements/build.txt
lock pyproject.toml --extra server -c requirements/build.txt --output-file requirements/server.txt
lock pyproject.toml --extra server --group dev -c requirements/build.txt -c requirements/server.txt \
    --output-file requirements/dev.txt
