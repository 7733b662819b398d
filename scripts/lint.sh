#!/usr/bin/env bash
# Everything about the code that can be seen without running it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/python -m pytest -q tests/architecture

# Where packages come from is the installer's own setting, so the same tree works behind any mirror.
if git grep --untracked -nIE '://' -- '*.lock' || git grep --untracked -nIE '://[^ "]+/simple\b' -- .; then
    echo "lint: the lines above name a package registry: remove the address" >&2
    exit 1
fi
echo "lint: clean"
