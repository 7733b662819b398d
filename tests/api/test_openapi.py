"""The OpenAPI document: made from the table of operations, valid, and complete."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from openapi_spec_validator import validate

from api.app import OPERATIONS
from api.openapi import codes_of, document, name_of
from api.problems import CATALOGUE
from api.schemas import PageQuery
from tests.api.conftest import Serve

API = Path(__file__).parents[2] / "api"


@cache
def told() -> dict[str, Any]:
    return document(OPERATIONS, version="1")


def test_the_document_is_valid_and_has_every_operation_under_a_name_of_its_own() -> None:
    validate(told())

    names = [name_of(operation) for operation in OPERATIONS]
    assert len(names) == len(set(names))
    assert {(path, method.upper()) for path, item in told()["paths"].items() for method in item} == {
        (operation.path, operation.method) for operation in OPERATIONS
    }


def test_every_operation_says_what_it_is_in_a_sentence() -> None:
    for operation in OPERATIONS:
        summary = told()["paths"][operation.path][operation.method.lower()]["summary"]

        assert (operation.path, 10 < len(summary) < 120) == (operation.path, True)


def test_every_operation_says_what_it_takes_and_every_parameter_what_it_is() -> None:
    for operation in OPERATIONS:
        found = told()["paths"][operation.path][operation.method.lower()]
        where = f"{operation.method} {operation.path}"

        assert (where, "a token" in found["description"] or "no token" in found["description"]) == (where, True)
        assert (where, [each["name"] for each in found["parameters"] if not each.get("description")]) == (where, [])
        assert (where, {"400", "429", "500"} - found["responses"].keys()) == (where, set())


def test_every_tag_says_what_it_is_about() -> None:
    assert [tag["name"] for tag in told()["tags"] if not tag["description"]] == []


def test_every_problem_that_is_answered_anywhere_stands_in_the_catalogue_with_its_status() -> None:
    raised = {
        (call.args[0].value, call.args[1].value)
        for path in API.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Problem"
        if all(isinstance(argument, ast.Constant) for argument in call.args[:2])
    }

    assert raised
    assert {(status, code) for status, code in raised if CATALOGUE[code].status != status} == set()


def test_what_takes_a_token_says_which_scope() -> None:
    for operation in OPERATIONS:
        security = told()["paths"][operation.path][operation.method.lower()]["security"]

        assert security == ([{"token": [operation.scope]}] if operation.scope else [])
        assert ("token_missing" in codes_of(operation)) == (operation.scope is not None)


def test_every_list_can_be_downloaded() -> None:
    assert [each.path for each in OPERATIONS if issubclass(each.query, PageQuery) and each.item is None] == []


def test_the_document_and_its_pages_are_served_to_whoever_has_no_token(serve: Serve) -> None:
    with httpx.Client(base_url=serve(api_token="a-token-nobody-guesses")) as client:
        served = client.get("/openapi.json")
        page, problems = client.get("/docs"), client.get("/docs/problems")
        assert client.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
        assert client.get("/docs-of-another-kind").status_code == 401

    assert served.json()["openapi"] == "3.1.0"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert all(f'id="{code}"' in problems.text for code in CATALOGUE)
