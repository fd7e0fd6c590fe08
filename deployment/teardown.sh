#!/usr/bin/env bash
# Deletes the stack (--help lists the options). teardown.py does it; this finds a Python.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deployment/common.sh
. "$here/common.sh"
find_python
exec "$python" "$here/teardown.py" "$@"
