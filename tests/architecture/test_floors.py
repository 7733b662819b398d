"""The law of the house: imports point down, the time is asked in one place, and a cold start stays cold."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What a process reads and sets up before it does anything: these may lean on each other.
THRESHOLD = tuple(
    f"shared.{name}" for name in ("accounts", "clock", "durations", "logs", "moments", "secrets", "settings")
)
# What puts the adapters together, for the doors above.
COMPOSITION = tuple(f"shared.{name}" for name in ("complaints", "roster", "runtime", "server"))
# Each floor, and the floors it may lean on beside itself. An adapter knows the domain and no other adapter.
RESTS_ON: dict[str, tuple[str, ...]] = {
    "shared.domain": (),
    **dict.fromkeys(THRESHOLD, ("shared.domain", *THRESHOLD)),
    "shared.indicators": ("shared.domain",),
    "shared.exchange": ("shared.domain",),
    "shared.llm": ("shared.domain",),
    "shared.db": ("shared.domain",),
    "shared.notices": ("shared.domain",),
    **dict.fromkeys(COMPOSITION, ("shared",)),
    "functions": ("shared",),
    "api": ("shared", "functions"),
    "scheduler": ("shared", "functions"),
    "migrations": ("shared",),
    "emulators": (),  # across the street: a second reading of the venue, so that a misreading shows
}
HOUSE = ("shared", "functions", "api", "scheduler", "migrations", "emulators")
NAMELESS = {"utils", "helpers", "common"}
SLOW_TO_IMPORT = ("pandas", "boto3", "eth_account", "apprise")
ASKS_THE_TIME = (
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"),
)


def modules(*places: str) -> list[Path]:
    return sorted(path for place in places for path in (ROOT / place).rglob("*.py"))


def name_of(path: Path) -> str:
    """`shared/db/engine.py` is shared.db.engine; a package's own file has the package's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def names_imported(nodes: Iterator[ast.AST], package: str) -> Iterator[str]:
    """Every imported name in full: `from shared.db import engine` is shared.db.engine."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield from (".".join((*above, *filter(None, [node.module]), alias.name)) for alias in node.names)


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes a bare import executes: not the bodies of functions, not what only the type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from run_on_import(child)


def package_of(path: Path) -> str:
    return name_of(path.parent / "__init__.py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=name_of(path))


def imports_of(path: Path) -> set[str]:
    return set(names_imported(ast.walk(tree_of(path)), package_of(path)))


def imports_at_start(path: Path) -> set[str]:
    return set(names_imported(run_on_import(tree_of(path)), package_of(path)))


def clocks_read(path: Path) -> set[str]:
    tree = tree_of(path)
    spoken = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | imports_of(path)
    return {clock for clock in ASKS_THE_TIME for name in spoken if name == clock or name.endswith(f".{clock}")}


@pytest.mark.parametrize(("floor", "beneath"), RESTS_ON.items())
def test_every_floor_leans_only_on_the_floors_beneath_it(floor: str, beneath: tuple[str, ...]) -> None:
    astray = [
        f"{name_of(path)} imports {name}"
        for path in modules(*HOUSE)
        if within(name_of(path), (floor,))
        for name in sorted(imports_of(path))
        if within(name, HOUSE) and not within(name, (floor, *beneath))
    ]

    assert astray == []


def test_every_module_stands_on_a_floor() -> None:
    homeless = [
        name_of(path)
        for path in modules(*HOUSE)
        if name_of(path) != "shared" and not within(name_of(path), (*RESTS_ON,))
    ]

    assert homeless == []


def test_the_domain_needs_nothing_but_the_standard_library() -> None:
    foreign = [
        f"{name_of(path)} imports {name}"
        for path in modules("shared/domain")
        for name in sorted(imports_of(path))
        if name.partition(".")[0] not in sys.stdlib_module_names and not within(name, ("shared.domain",))
    ]

    assert foreign == []


def test_every_module_is_named_for_the_noun_it_holds() -> None:
    everything = modules(*HOUSE, "deploy", "scripts", "tests")
    nameless = [name_of(path) for path in everything if NAMELESS & {*name_of(path).split(".")}]

    assert nameless == []


def test_a_cold_start_loads_no_slow_library() -> None:
    slow = [
        f"{name_of(path)} imports {name}"
        for path in modules("functions", "shared", "api")
        for name in sorted(imports_at_start(path))
        if within(name, SLOW_TO_IMPORT)
    ]

    assert slow == []


def test_only_the_clock_asks_the_time() -> None:
    impatient = [
        f"{name_of(path)} asks {clock}"
        for path in modules("functions", "shared", "api", "scheduler", "migrations")
        if name_of(path) != "shared.clock"
        for clock in sorted(clocks_read(path))
    ]

    assert impatient == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import shared.db.engine", "shared.db.engine"),
        ("from shared.db import engine", "shared.db.engine"),
        ("from shared import db", "shared.db"),
        ("from . import tables", "shared.db.tables"),
        ("from .tables import orders", "shared.db.tables.orders"),
        ("from ..domain import order", "shared.domain.order"),
        ("def later():\n    import boto3", "boto3"),
    ],
)
def test_no_way_of_importing_goes_unseen(line: str, name: str) -> None:
    assert [*names_imported(ast.walk(ast.parse(line)), package="shared.db")] == [name]


@pytest.mark.parametrize(
    ("source", "is_loaded"),
    [
        ("import pandas", True),
        ("try:\n    import pandas\nexcept ImportError:\n    pandas = None", True),
        ("class Report:\n    import pandas", True),
        ("def report():\n    import pandas", False),
        ("if TYPE_CHECKING:\n    import pandas", False),
    ],
)
def test_only_what_an_import_executes_counts_as_loaded(source: str, is_loaded: bool) -> None:
    assert ("pandas" in names_imported(run_on_import(ast.parse(source)), package="shared")) is is_loaded


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "time.time()",
        "from time import monotonic",
        "f = time.perf_counter",
    ],
)
def test_no_way_of_asking_the_time_goes_unseen(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "stage.py").write_text(source)

    assert len(clocks_read(tmp_path / "stage.py")) == 1
