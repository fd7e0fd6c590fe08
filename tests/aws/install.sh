#!/bin/sh
# Set up .venv-aws: LocalStack, and beside it (not in it) the Lambda runtime client for the functions.
# LocalStack needs Python 3.13 or 3.12. Without one the tests that need it are skipped; in CI this fails.
set -eu
cd "$(dirname "$0")/../.."

fits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in {(3, 12), (3, 13)})' 2>/dev/null
}

find_python() {
    for version in 3.13 3.12; do
        # pyenv's shims stand on the PATH for versions that are not switched on: only a run tells.
        if fits "python$version"; then
            echo "python$version"
            return
        fi
        for installed in $(pyenv versions --bare 2>/dev/null | grep "^$version\." | sort -rV); do
            candidate="$(pyenv prefix "$installed")/bin/python"
            if fits "$candidate"; then
                echo "$candidate"
                return
            fi
        done
    done
    if fits python3; then echo python3; else return 1; fi
}

if ! python=$(find_python); then
    echo "!! expected Python 3.13 or 3.12 on the PATH or in pyenv for the emulated AWS, got none" >&2
    [ "${CI:-}" != true ] || exit 1
    echo "!! the tests that deploy to it are SKIPPED" >&2
    exit 0
fi

rm -rf .venv-aws
"$python" -m venv .venv-aws
pip() { .venv-aws/bin/pip --disable-pip-version-check install --quiet --require-hashes "$@"; }
pip -r requirements/localstack.txt
pip --target .venv-aws/runtime -r requirements/runtime-client.txt
touch "$1"
