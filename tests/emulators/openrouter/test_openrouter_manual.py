"""What docs/emulators.md tells of the model service is what there is."""

import re
from pathlib import Path

from starlette.routing import Route

from emulators.openrouter import create_app
from emulators.openrouter.catalogue import MODELS
from emulators.openrouter.endpoints import BARE, EMULATED, SECONDHAND, SLOPPY
from emulators.openrouter.faults import KINDS

MANUAL = (Path(__file__).parents[3] / "docs" / "emulators.md").read_text().partition("## OpenRouter")[2]


def test_the_manual_tells_of_exactly_the_models_there_are() -> None:
    told = re.findall(r"^\| `(emulated/[\w-]+)` \| (.*) \|$", MANUAL, re.MULTILINE)

    assert told == [(model.slug, model.told) for model in MODELS.values() if model.slug.startswith("emulated/")]


def test_the_manual_tells_of_exactly_the_kinds_of_faults_there_are() -> None:
    faults = MANUAL.partition("### Faults on demand")[2].partition("### Administration")[0]

    assert re.findall(r"^\| `([\w-]+)` \| (.*) \|$", faults, re.MULTILINE) == list(KINDS.items())


def test_the_manual_names_models_that_exist() -> None:
    named = set(re.findall(r"`((?:emulated|malformed|faulty)/[\w-]+)`", MANUAL))

    assert named <= MODELS.keys()


def test_the_manual_tells_of_every_provider_and_its_price() -> None:
    for provider in (EMULATED, SECONDHAND, SLOPPY, BARE):
        price = "list" if provider.surcharge == 1 else f"× {provider.surcharge}"
        assert f"| {provider.name} | {price} |" in MANUAL


def test_the_manual_tells_of_every_route() -> None:
    for route in create_app().routes:
        assert isinstance(route, Route)
        if route.path.startswith("/emulator/"):
            [method] = (route.methods or set()) - {"HEAD"}
            assert f"`{method} {route.path.removeprefix('/emulator/')}`" in MANUAL
        else:
            assert route.path.removeprefix("/api/v1") in MANUAL
