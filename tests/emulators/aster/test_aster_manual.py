"""What docs/emulators.md tells of the doors is what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from starlette.routing import Route

from emulators.aster import Habits, Settings, Venue, create_app
from emulators.aster.doors.faults import KINDS
from tests.emulators.aster.traders import flat, market_of

MANUAL = (Path(__file__).parents[3] / "docs" / "emulators.md").read_text()


def test_the_manual_tells_of_exactly_the_settings_and_habits_there_are_and_their_defaults() -> None:
    told = re.findall(r"^\| `(\w+)` \| (\S+) \| (.*) \|$", MANUAL, re.MULTILINE)

    there = [
        (each.name, "never" if each.default is None else str(each.default).lower(), each.metadata["help"])
        for each in (*fields(Settings), *fields(Habits))
    ]

    assert [(name, default, meaning.split(":")[0]) for name, default, meaning in told] == there


def test_the_manual_tells_of_every_administrative_request() -> None:
    app = create_app(Venue(market_of(*flat(50_000, 1))))
    routes = [each for each in app.routes if isinstance(each, Route) and each.path.startswith("/emulator/")]

    for route in routes:
        [method] = (route.methods or set()) - {"HEAD"}
        assert f"`{method} {route.path.removeprefix('/emulator/')}`" in MANUAL


def test_the_manual_tells_of_every_kind_of_fault() -> None:
    for kind in KINDS:
        assert f"`{kind}`" in MANUAL or kind in {"429-after", "418-after", "403-after"}, kind
