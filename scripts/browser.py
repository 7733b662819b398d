"""The browser that tests and pictures of the dashboard use: Debian's chromium, or what else is called so."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")

MISSING = "there is no chromium: scripts/browser.sh installs it"

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It runs as root, without a screen, and asks nobody anything by itself."""


def find_browser() -> str | None:
    """Return the path of a browser, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)
