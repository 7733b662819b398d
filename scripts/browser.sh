#!/usr/bin/env bash
# Make sure there is a browser for the dashboard's tests and pictures: Debian's chromium, installed when we may.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "browser: installing chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null
else
    echo "browser: there is no chromium: install it (on Debian, as root: apt-get install chromium)" >&2
    exit 1
fi
