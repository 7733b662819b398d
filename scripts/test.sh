#!/usr/bin/env bash
# The whole test suite, and at least 90 % of the lines of the code seen by it. Arguments go to pytest, and then nobody
# counts lines: scripts/test.sh tests/db -k killed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh

if [ $# -gt 0 ]; then
    .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
else
    report=$(mktemp)
    trap 'rm -f "$report"' EXIT
    .venv/bin/python -m slipcover --json --out "$report" -m pytest -n 2 --dist worksteal
    .venv/bin/python -m slipcover --merge "$report" --out /dev/null --skip-covered --fail-under 90
fi
