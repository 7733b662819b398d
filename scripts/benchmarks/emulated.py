"""An emulator in a process of its own, as a server on a free loopback port."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def emulator(module: str, *options: str) -> Iterator[str]:
    """Start *module* with a free port, yield the address that it says it is ready on, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", *options], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for above
        ready = re.search(r"http://[\d.:]+(/api/v1)?", process.stdout.readline())
        if ready is None:
            raise RuntimeError(f"{module} could not start; it says why above")
        yield ready[0]
    finally:
        process.terminate()
        process.communicate()
