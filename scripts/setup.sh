#!/usr/bin/env bash
# Make .venv hold exactly what requirements-dev.lock lists; with the word `local`, at least what running the system on
# this machine takes (requirements-local.lock). Needs Python >= 3.11 and nothing else; does nothing when the locks have
# not changed. PYTHON=/path/to/python3 chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The interpreter is ours to choose, and the machine's certificate authorities are the ones to trust.
export UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

is_usable() { # a command may exist and still fail: pyenv's stand-ins do, and Debian's python3 comes without venv
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate candidates=(python3.13 python3.12 python3.11 python3)
    if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        if is_usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: no Python >= 3.11 with its venv module${PYTHON:+ at PYTHON=$PYTHON}: install one" \
        "(on Debian: apt-get install python3-venv), or name one with PYTHON=/path/to/python3" >&2
    return 1
}

version() { "$1" -ISc 'import sys; print(sys.version)' 2>/dev/null; }

has_home() { # the environment and uv in it, by the interpreter that was asked for
    cmp -s requirements-uv.lock .venv/uv.installed && [ -x .venv/bin/python ] &&
        { [ -z "${PYTHON:-}" ] || [ "$(version "$PYTHON")" = "$(version .venv/bin/python)" ]; }
}

if ! has_home; then
    python=$(find_python)
    echo "setup: making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
    # Beside the packages it looks after, because uv removes whatever the lock does not list.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --target .venv/uv \
        -r requirements-uv.lock
    cp requirements-uv.lock .venv/uv.installed
fi

holds() { cmp -s "requirements-$1.lock" ".venv/$1.installed"; }

wanted=${1:-dev}
if ! holds "$wanted" && ! holds dev; then
    echo "setup: installing requirements-$wanted.lock"
    rm -f .venv/dev.installed .venv/local.installed
    .venv/uv/bin/uv pip sync --python .venv/bin/python --require-hashes --compile-bytecode "requirements-$wanted.lock"
    cp "requirements-$wanted.lock" ".venv/$wanted.installed"
fi
