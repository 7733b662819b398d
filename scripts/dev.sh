#!/usr/bin/env bash
# Run the whole system on this machine: `scripts/dev.sh`, or `scripts/dev.sh --help` for its options.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh local
exec .venv/bin/python -m scripts.dev "$@"
