#!/usr/bin/env bash
# Pin what pyproject.toml asks for, with hashes and without the address of any registry. Pins that still fit are kept;
# `lock.sh --upgrade` moves them to the newest. `lock.sh --check` changes nothing and fails if a lock does not fit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The interpreter is ours to choose, and the machine's certificate authorities are the ones to trust.
export UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
scripts/setup.sh

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp requirements*.lock "$folder"

pin() {
    local lock=$1
    shift
    .venv/uv/bin/uv pip compile --quiet --python .venv/bin/python --universal \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --output-file "$folder/$lock" "$@"
}

check=false
if [ "${1:-}" = --check ]; then
    check=true
    shift
fi
pin requirements.lock pyproject.toml --overrides requirements-overrides.txt "$@"
pin requirements-local.lock pyproject.toml --group local "$@"
pin requirements-dev.lock pyproject.toml --group dev "$@"
echo uv | pin requirements-uv.lock - "$@"

for lock in requirements.lock requirements-local.lock requirements-dev.lock requirements-uv.lock; do
    if cmp -s "$folder/$lock" "$lock"; then
        echo "lock: $lock fits"
    elif $check; then
        echo "lock: $lock does not fit pyproject.toml: run scripts/lock.sh" >&2
        exit 1
    else
        cp "$folder/$lock" "$lock"
        echo "lock: $lock written"
    fi
done
