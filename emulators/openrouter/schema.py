"""
Strict structured output: what a provider that enforces a JSON schema refuses, and what it guarantees.

Follows OpenAI's rules for `strict: true`: the root is an object, every object lists all its properties as required and
allows no others. Value bounds are not looked at, as no provider enforces them.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from emulators.openrouter.wire import Json

Schema = Mapping[str, Any]

IS_OF_TYPE: Mapping[str, Callable[[object], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | Decimal) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | Decimal) and not isinstance(value, bool) and value == int(value),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
BLANKS: Json = {"null": None, "boolean": False, "string": "", "number": 0, "integer": 0, "array": []}
SHAPES: Mapping[str, type | tuple[type, ...]] = {
    "type": (str, list),
    "properties": dict,
    "$defs": dict,
    "required": list,
    "enum": list,
    "anyOf": list,
    "oneOf": list,
    "items": dict,
    "minimum": (int, float),
    "maximum": (int, float),
}
"""Keywords and what they hold, as far as anything here reads them."""


def misshapen(schema: object, where: str = "schema") -> str | None:
    """What makes *schema* no JSON Schema at all, in one line, or None. Keywords without a meaning here pass."""
    if not isinstance(schema, dict):
        return f"in {where}: a schema must be an object"
    wrong = [keyword for keyword in SHAPES if keyword in schema and not _is_shaped(keyword, schema[keyword])]
    if wrong:
        return f"in {where}: {wrong[0]!r} has the wrong type"
    named = [*schema.get("required", []), *(_kinds(schema))]
    if not all(isinstance(name, str) for name in named):
        return f"in {where}: names must be strings"
    return next((found for path, part in _parts(schema, where) if (found := misshapen(part, path))), None)


def _is_shaped(keyword: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, SHAPES[keyword]):
        return False
    # Nothing may be required, but there is nothing to choose from no choices.
    return value != [] or keyword == "required"


def _parts(schema: Schema, where: str) -> list[tuple[str, object]]:
    """The schemas within *schema*, each with its place."""
    parts = [(f"{where}.{key}.{name}", part) for key in ("properties", "$defs") for name, part in _items(schema, key)]
    parts += [(f"{where}.{key}", option) for key in ("anyOf", "oneOf") for option in schema.get(key, [])]
    return parts + ([(f"{where}.items", schema["items"])] if "items" in schema else [])


def flaw(schema: Schema) -> str | None:
    """What strict mode refuses in *schema*, in one line, or None."""
    if problem := misshapen(schema):
        return problem
    if schema.get("type") != "object":
        return "schema must be a JSON Schema of 'type: \"object\"'"
    problem = _flaw(schema, "schema", {f"#/$defs/{name}" for name in schema.get("$defs", {})})
    if problem is None:
        try:
            _Grammar(schema.get("$defs", {})).blank(schema)
        except RecursionError:
            return "in schema: a reference leads back to itself and has no end"
    return problem


def _flaw(schema: Schema, where: str, references: set[str]) -> str | None:
    if "$ref" in schema and str(schema["$ref"]) not in references:
        return f"in {where}: reference {schema['$ref']!r} cannot be resolved"
    unknown = [kind for kind in _kinds(schema) if kind not in IS_OF_TYPE]
    if unknown:
        return f"in {where}: {unknown[0]!r} is not a type"
    if "properties" in schema or schema.get("type") == "object":
        names = set(schema.get("properties", {}))
        if schema.get("additionalProperties") is not False:
            return f"in {where}: 'additionalProperties' is required to be supplied and to be false"
        if set(schema.get("required", [])) != names:
            return f"in {where}: 'required' is required to be supplied and to include every key in properties"
    inner = [(path, part) for path, part in _parts(schema, where) if isinstance(part, dict)]
    return next((found for path, part in inner if (found := _flaw(part, path, references))), None)


def _items(schema: Schema, key: str) -> list[tuple[str, object]]:
    return list(schema.get(key, {}).items())


def conform(value: object, schema: Schema) -> object:
    """
    *value* as a provider that enforces *schema* would have let it be written.

    Properties come in the schema's order, undeclared ones are left out, absent ones are blank, and array items that
    cannot fit are dropped. *schema* must have no `flaw`.
    """
    grammar = _Grammar(schema.get("$defs", {}))
    try:
        return grammar.fit(value, schema)
    except MisfitError:
        return grammar.blank(schema)


class MisfitError(ValueError):
    """A value the schema has no place for."""


class _Grammar:
    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def fit(self, value: object, schema: Schema) -> object:
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return self._fit_any(value, schema["anyOf"])
        kinds = _kinds(schema)
        if kinds and not any(IS_OF_TYPE[kind](value) for kind in kinds):
            raise MisfitError
        if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
            raise MisfitError
        if isinstance(value, dict):
            return {
                name: self.fit(value[name], part) if name in value else self.blank(part)
                for name, part in schema.get("properties", {}).items()
            }
        if isinstance(value, list):
            return self._fit_items(value, schema.get("items", {}))
        return value

    def blank(self, schema: Schema) -> object:
        """The least a schema allows: null where it may be, else the first choice, else nothing of its type."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            blanks = [self.blank(option) for option in schema["anyOf"]]
            return None if None in blanks else blanks[0]
        kinds = _kinds(schema)
        if not kinds or "null" in kinds:
            return schema.get("const")
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        if kinds[0] == "object":
            return {name: self.blank(part) for name, part in schema.get("properties", {}).items()}
        return BLANKS[kinds[0]]

    def _fit_any(self, value: object, options: list[Schema]) -> object:
        for option in options:
            try:
                return self.fit(value, option)
            except MisfitError:
                continue
        raise MisfitError

    def _fit_items(self, values: list[object], schema: Schema) -> list[object]:
        fitting = []
        for value in values:
            try:
                fitting.append(self.fit(value, schema))
            except MisfitError:
                continue
        return fitting

    def _resolved(self, schema: Schema) -> Schema:
        reference = schema.get("$ref")
        return self._definitions[reference.removeprefix("#/$defs/")] if reference else schema


def _kinds(schema: Schema) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)
