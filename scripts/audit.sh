#!/usr/bin/env bash
# Fail if a locked package has a known vulnerability. Arguments go to pip-audit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh

for lock in requirements.lock requirements-dev.lock requirements-uv.lock; do
    echo "audit: $lock"
    .venv/bin/pip-audit --require-hashes --disable-pip --requirement "$lock" "$@"
done
