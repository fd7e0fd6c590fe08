# shellcheck shell=bash
# Shared by deploy.sh and teardown.sh.

find_python() { # sets python: PYTHON, else python3
    python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "expected Python 3.11 or newer for PYTHON, got $("$python" --version 2>&1 || true)" >&2
        exit 2
    }
}
