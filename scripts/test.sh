#!/usr/bin/env bash
# The whole test suite, and at least the coverage that pyproject.toml asks for. Arguments go to pytest, and then the
# coverage is not looked at: scripts/test.sh tests/db -k killed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh

if [ $# -gt 0 ]; then
    .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
else
    .venv/bin/python -m slipcover -m pytest -n 2 --dist worksteal
fi
