"""
How long a handler's container takes to be ready: `python -m scripts.benchmarks.cold_start`.

From spawning a Python to the end of `import functions.handlers`, against the same third-party modules imported with
nothing of ours: the ratio says what our own code costs, whatever the machine. Runs are interleaved, so that a busy
moment slows all of them, and each has its bytecode at hand, as a deployed function has. Beside the time by the clock
stands the processor's, which other programs disturb less.
"""

import argparse
import importlib.util
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"functions", "shared"}
HIDDEN = ("pandas", "polars")
"""TA-Lib would load these wherever they are installed; our handlers keep them from it, and so does the baseline."""

HANDLERS = "import functions.handlers"
LIST_MODULES = f"{HANDLERS}; import sys; print(*sys.modules)"


def importing(modules: list[str], hidden: tuple[str, ...]) -> str:
    """Return a program that imports *modules* in order while *hidden* ones seem not to be installed."""
    return (
        f"import importlib, sys\nsys.modules.update(dict.fromkeys({hidden!r}))\n"
        f"for name in {modules!r}:\n    importlib.import_module(name)"
    )


def third_party(environment: dict[str, str]) -> list[str]:
    """Return what the handlers import beside the standard library and our own code, in the order of its loading."""
    listed = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    own = OURS | sys.stdlib_module_names | {"__main__"}
    return [name for name in listed if name.partition(".")[0] not in own and _can_be_found(name)]


def _can_be_found(name: str) -> bool:
    """Some modules exist in memory only: their makers bring them along."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def run(program: str, environment: dict[str, str]) -> tuple[float, float]:
    """Return the milliseconds that a new Python takes to run *program*, by the clock and of the processor."""
    began, used = time.perf_counter(), _used()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
    return (time.perf_counter() - began) * 1000, (_used() - used) * 1000


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.cold_start", description="Measure cold starts.")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved runs of each (default 15)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        modules = third_party(environment)
        programs = {
            "an empty Python": "pass",
            "its third-party modules": importing(modules, HIDDEN),
            "functions.handlers": HANDLERS,
        }
        installed = [name for name in HIDDEN if importlib.util.find_spec(name)]
        if installed:
            programs[f"the modules, {' and '.join(installed)} not hidden"] = importing(modules, ())
        for program in programs.values():
            run(program, environment)  # writes the bytecode
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                times[name].append(run(program, environment))
    report(times, len(modules), installed)
    return 0


def report(times: dict[str, list[tuple[float, float]]], modules: int, installed: list[str]) -> None:
    """Print medians, and the medians of each round's own ratios."""
    rounds = len(times["functions.handlers"])
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {rounds} rounds, {modules} third-party modules")
    print(f"installed beside them: {', '.join(installed) or 'neither pandas nor polars'}")
    base = times["its third-party modules"]
    for name, taken in times.items():
        columns = []
        for part in (0, 1):
            ratio = statistics.median(one[part] / other[part] for one, other in zip(taken, base, strict=True))
            columns.append(f"{statistics.median(one[part] for one in taken):6.0f} ms {ratio:5.2f} ×")
        print(f"{name:<36} clock {columns[0]}   processor {columns[1]}")


if __name__ == "__main__":
    sys.exit(main())
