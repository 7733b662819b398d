#!/usr/bin/env bash
# Trade recorded candles with every account and hold the books against the exchange's: see `scripts/rehearse.sh --help`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh local
exec .venv/bin/python -m scripts.rehearse "$@"
