"""Which code read and judged an answer: where a decision made again comes out otherwise, it may be why."""

import hashlib
from functools import cache
from pathlib import Path

import shared.domain
import shared.llm

_PARTS = {"reader": shared.llm, "review": shared.domain}


@cache
def code_versions() -> dict[str, str]:
    """Return, for each part, a version that changes with every edit of its sources."""
    versions = {}
    for name, package in _PARTS.items():
        digest = hashlib.sha256()
        for path in sorted(Path(package.__path__[0]).glob("*.py")):
            digest.update(path.read_bytes())
        versions[name] = digest.hexdigest()[:12]
    return versions
