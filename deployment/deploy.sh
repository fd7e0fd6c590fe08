#!/usr/bin/env bash
# Builds the functions and deploys the stack (--help lists the options). deploy.py does it; this finds a Python.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deployment/common.sh
. "$here/common.sh"
find_python

# Recipes and settings are validated as the functions do, with the package's own code and its dependencies.
if ! "$python" -c 'import msgspec' 2>/dev/null; then
    make --no-print-directory -C "$here/.." PYTHON="$python" venv >&2 || {
        echo "expected make venv to install the package, got a failure" >&2
        exit 2
    }
    python=$here/../.venv/bin/python
fi
exec "$python" "$here/deploy.py" "$@"
