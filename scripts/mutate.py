"""
Mutate the rules that must not be wrong, one small change at a time, and see whether a test notices.

    nice python scripts/mutate.py [--module rules] [--jobs 2]

A mutant that no test kills is printed with its line: either a test is missing, or the change means nothing and stands
in EQUIVALENT with the reason. Ends with 1 where another one survives. Tests run in forks of one process, so that a
mutant costs its tests and no imports.
"""

import argparse
import ast
import contextlib
import copy
import importlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOMAIN = ROOT / "shared" / "domain"
FAST = ("-x", "-q", "-s", "-c", os.devnull, "--noconftest", "--assert=plain", "-p", "no:cacheprovider")
"""Rules need no database: what sets one up for other tests would take longer than the tests."""

SECONDS = 60
"""A mutant that makes the tests take so long is a loop without an end."""

TESTS = {
    "rules": ("test_risk.py", "test_sizing.py"),
    "risk": ("test_risk.py",),
    "sizing": ("test_sizing.py", "test_risk.py"),
    "breakers": ("test_breakers.py",),
    "order": ("test_order.py", "test_reconciliation.py", "test_protection.py"),
    "reconciliation": ("test_reconciliation.py",),
}

SIGN = "dividing by 1 or -1 is multiplying by it"
EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "rules",
        "return None if self.stop is None else (self.price - self.stop) / self.direction.sign / self.price",
    ): SIGN,
    (
        "rules",
        "return None if self.target is None else (self.target - self.price) / self.direction.sign / self.price",
    ): SIGN,
    ("rules", "due = max(Decimal(0), self.quote.funding_rate / self.direction.sign)"): SIGN,
    ("rules", "ours_to_pay = entry.quote.funding_rate / entry.direction.sign"): SIGN,
    (
        "reconciliation",
        "sizes[held.symbol] = sizes.get(held.symbol, Decimal(0)) + held.quantity / held.direction.sign",
    ): SIGN,
    ("risk", "if instrument is None or unsound(quote):"): "unsound() says the same of None; the type checker asks",
}
"""(module, the changed line as it reads after the change): why nobody can tell the difference."""

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
REVERSED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}
RECKONED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMED = {"min": "max", "max": "min", "any": "all", "all": "any", "round_price_up": "round_price_down"}
NAMED |= {"round_price_down": "round_price_up"}


def changes(node: ast.AST) -> Iterator[ast.AST]:  # noqa: PLR0912 - a table, one row a kind
    """Return what *node* may be changed into."""
    match node:
        case ast.Compare(ops=ops):
            for index, operator in enumerate(ops):
                for table in (COMPARED, REVERSED):
                    if type(operator) in table:
                        changed = copy.deepcopy(node)
                        changed.ops[index] = table[type(operator)]()
                        yield changed
        case ast.BinOp(op=operator) if type(operator) in RECKONED:
            yield ast.BinOp(node.left, RECKONED[type(operator)](), node.right)
            if isinstance(operator, ast.Add | ast.Sub | ast.Mult | ast.Div):
                yield node.left
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Call(func=ast.Name("Decimal"), args=[ast.Constant(value=str() as value)]):
            yield ast.Call(node.func, [ast.Constant(f"{value}1" if "." in value else f"1{value}")], [])
        case ast.Name(id=name) if name in NAMED:
            yield ast.Name(NAMED[name], node.ctx)
        case ast.Attribute(attr=name) if name in NAMED:
            yield ast.Attribute(node.value, NAMED[name], node.ctx)
        case ast.If():
            for value in (True, False):
                yield ast.If(ast.Constant(value), node.body, node.orelse)
        case ast.comprehension(ifs=[_, *_]):
            yield ast.comprehension(node.target, node.iter, [], node.is_async)
        case ast.AugAssign():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Return every node with where it hangs. What only people or type checkers read is left out."""
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list", "type_comment"}:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield tree, name, index, child
                yield from places(child)


class Mutant:
    """One module with one change."""

    def __init__(self, module: str, line: int, text: str, source: str) -> None:
        self.module, self.line, self.text, self.source = module, line, text, source


def mutants(module: str) -> list[Mutant]:
    """Return every mutant of the module."""
    source = (DOMAIN / f"{module}.py").read_text()
    tree = ast.parse(source)
    plain = ast.unparse(tree).splitlines()
    found = []
    for parent, name, index, node in list(places(tree)):
        for changed in changes(node):
            _hang(parent, name, index, changed)
            mutated = ast.unparse(ast.fix_missing_locations(tree))
            _hang(parent, name, index, node)
            after = mutated.splitlines()
            text = next((new for old, new in zip(plain, after, strict=False) if old != new), after[-1])
            if mutated.splitlines() != plain:
                found.append(Mutant(module, getattr(node, "lineno", 0), text.strip(), mutated))
    return found


def _hang(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


class Instead:
    """Loads a mutant where its module is asked for."""

    def __init__(self, mutant: Mutant) -> None:
        self._name, self._source = f"shared.domain.{mutant.module}", mutant.source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the mutant's spec for its name, nothing for others."""
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def create_module(self, spec: Any) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed source."""
        exec(compile(self._source, f"<mutant of {self._name}>", "exec"), module.__dict__)  # noqa: S102 - our own code


def survives(mutant: Mutant | None, tests: tuple[str, ...]) -> bool:
    """Run the tests against the mutant in a fork, or against what is there; say whether they all pass."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if mutant is not None:
            sys.meta_path.insert(0, Instead(mutant))  # type: ignore[arg-type]
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            code = 1
            with contextlib.suppress(BaseException):
                paths = [str(ROOT / "tests" / "domain" / name) for name in tests]
                code = int(pytest.main([*FAST, *paths]))
        os._exit(0 if code == 0 else 1)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> int:
    """Try every mutant; 1 where one survives that is not known to be equivalent."""
    parser = argparse.ArgumentParser(description="Mutate the rules and see whether a test notices.")
    parser.add_argument("--module", choices=TESTS, action="append", help="only this one (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--line", type=int, help="only mutants of this line")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    importlib.import_module("hypothesis.extra.pytestplugin")
    bad = 0
    for module in chosen.module or TESTS:
        if not survives(None, TESTS[module]):
            print(f"{module}: its tests fail as it is")
            return 1
        found = [each for each in mutants(module) if chosen.line in {None, each.line}]
        with ThreadPoolExecutor(chosen.jobs) as pool:
            alive = [
                mutant
                for mutant, lives in zip(
                    found, pool.map(lambda each: survives(each, TESTS[each.module]), found), strict=True
                )
                if lives
            ]
        known = [each for each in alive if (module, each.text) in EQUIVALENT]
        print(f"{module}: {len(found)} mutants, {len(found) - len(alive)} killed, {len(known)} equivalent")
        for each in alive:
            if each not in known:
                bad += 1
                print(f"  {module}.py:{each.line}: {each.text}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
