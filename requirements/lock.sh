#!/bin/sh
# Pin every requirement by version and hash, for every Python from 3.11 on and every platform.
# The files name no index: they install from whatever index pip is set up with.
set -eu
cd "$(dirname "$0")/.."
pin() {
    uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url \
        --no-emit-find-links "$@"
}
lock() { pin --universal --python-version 3.11 "$@"; }
lock --group build --output-file requirements/build.txt
lock pyproject.toml --extra server -c requirements/build.txt --output-file requirements/server.txt
lock pyproject.toml --extra server --extra heic --extra jxl --extra faces --group dev -c requirements/build.txt \
    -c requirements/server.txt --output-file requirements/dev.txt
lock pyproject.toml --extra server --extra aws -c requirements/build.txt -c requirements/dev.txt \
    --output-file requirements/container.txt
lock --group runtime-client -c requirements/dev.txt --output-file requirements/runtime-client.txt
# LocalStack's pins contradict each other on Python 3.14, so this one is for 3.12 and 3.13 on Linux.
pin --python-version 3.12 --python-platform linux --group emulation --output-file requirements/localstack.txt
# The functions' packages: Lambda's Python on Linux. The pins agree with the server's.
package() { pin --python-version 3.13 --python-platform linux -c requirements/server.txt "$@"; }
package pyproject.toml --extra aws --output-file requirements/lambda.txt
package pyproject.toml --extra aws-api -c requirements/lambda.txt --output-file requirements/lambda-api.txt
package --group lambda-publish -c requirements/lambda.txt --output-file requirements/lambda-publish.txt
# What a package takes on top with --with heic or --with jxl: build.py adds these to the others.
for extra in heic jxl; do
    package pyproject.toml --extra aws --extra "$extra" -c requirements/lambda-api.txt \
        --output-file "requirements/lambda-$extra.txt"
done
# atheris has no wheels for every Python, nor for other platforms than Linux and macOS.
pin --python-version 3.11 --python-platform linux requirements/stress.in --output-file requirements/stress.txt
# Each in a venv of its own: their pins contradict each other's and those of the tests.
lock requirements/template.in --output-file requirements/template.txt
lock requirements/mutation.in -c requirements/dev.txt --output-file requirements/mutation.txt
lock requirements/sam.in --output-file requirements/sam.txt
lock requirements/site.in --output-file requirements/site.txt
lock requirements/bench.in --output-file requirements/bench.txt
