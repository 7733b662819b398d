"""
An operation is one method on one path, said once: from it come the route, the check of who may, the reading of what is
asked, and the OpenAPI document.

Its handler says by its signature what it takes: `request`; `query`, a Query; `body`, a Body; and each variable of the
path by its own name and type. What it returns is held against its return annotation before it leaves, so that the
document cannot tell otherwise than the answers do, and leaves with what the handler put into `request.state.headers`; a
handler that returns a Response has written it itself. One that
takes a DownloadQuery and answers a Listing can be downloaded as a whole. Its docstring is what the document says of it.
"""

import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from api.actions import act
from api.answers import Listing
from api.auth import caller_of, require_account, wrong_account
from api.bodies import Body, json_body, read_body
from api.downloads import download
from api.errors import Problem
from api.schemas import DownloadQuery, Format, NoQuery, Q, Query, read_query
from api.state import require_known
from shared.domain.access import Caller, Scope

Handler = Callable[..., Awaitable[Any]]

ACCOUNT = "account"
"""The name by which paths and queries name the account that is asked about."""


@dataclass(frozen=True)
class Operation:
    """See the module. Without a *scope* it is open to everybody; what concerns the *whole_house* is not for a caller
    who is confined to one account. Of one that was cut short, what is *found_again* finds by itself what was done.

    *problems* are the codes it can answer beside those that its scope, its parameters and its body bring along.
    """

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    status: int = 200
    problems: tuple[str, ...] = ()
    whole_house: bool = False
    found_again: bool = False
    media_types: tuple[str, ...] = ()
    """Of what the handler writes itself, where that is no JSON."""

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of the handler's parameters and, as `return`, of its answer."""
        return get_type_hints(self.handler, include_extras=True)

    @cached_property
    def query(self) -> type[Query]:
        """What the query string may say."""
        found: type[Query] = self.hints.get("query", NoQuery)
        return found

    @cached_property
    def body(self) -> Any:
        """The kind of Body that is read, another type for JSON of every kind, None where no body is looked at."""
        return self.hints.get("body")

    @cached_property
    def variables(self) -> dict[str, TypeAdapter[Any]]:
        """What each variable of the path must be."""
        names = inspect.signature(self.handler).parameters.keys() - {"request", "query", "body"}
        return {name: TypeAdapter(self.hints[name]) for name in names}

    @cached_property
    def answer(self) -> TypeAdapter[Any] | None:
        """What is answered; None for what the handler writes itself."""
        kind = self.hints["return"]
        return None if isinstance(kind, type) and issubclass(kind, Response) else TypeAdapter(kind)

    @cached_property
    def item(self) -> type[BaseModel] | None:
        """What a list that can be downloaded has in its rows; None for everything else."""
        kind = self.hints["return"]
        if not (issubclass(self.query, DownloadQuery) and isinstance(kind, type) and issubclass(kind, Listing)):
            return None
        found: type[BaseModel] = get_args(kind.model_fields["items"].annotation)[0]
        return found

    async def serve(self, request: Request) -> Response:
        """Answer *request*. Raises Problem."""
        caller = self._admitted(request)
        given: dict[str, Any] = self._variables(request)
        if ACCOUNT in given:
            require_account(caller, given[ACCOUNT])
        query = await narrowed(request, read_query(request, self.query), caller)
        if "body" in self.hints:
            whole = isinstance(self.body, type) and issubclass(self.body, Body)
            given["body"] = await (read_body(request, self.body) if whole else json_body(request))
        if self.item and isinstance(query, DownloadQuery) and query.format is not Format.JSON:
            return await download(request, query, self.item, partial(self.handler, request, **given))
        if "query" in self.hints:
            given["query"] = query
        return self._written(request, await self.handler(request, **given))

    def _admitted(self, request: Request) -> Caller | None:
        if self.scope is None:
            return None
        caller = caller_of(request)
        if not caller.scope.includes(self.scope):
            detail = f"this takes the scope {self.scope}, and {caller.name} has {caller.scope}"
            raise Problem(403, "scope_too_small", detail)
        if self.whole_house and caller.account_id is not None:
            raise wrong_account(caller)
        return caller

    def _variables(self, request: Request) -> dict[str, Any]:
        read = {}
        for name, kind in self.variables.items():
            try:
                read[name] = kind.validate_python(request.path_params[name])
            except ValidationError as exc:
                why = exc.errors(include_url=False, include_context=False)[0]["msg"].removeprefix("Value error, ")
                raise Problem(400, "bad_parameter", f"{name}: {why}", parameter=name) from None
        return read

    def _written(self, request: Request, answer: Any) -> Response:
        if self.answer is None:
            written: Response = answer
            return written
        told = self.answer.validate_python(answer)
        if isinstance(account := getattr(told, ACCOUNT, None), str):
            require_account(request.state.caller, account)  # of what is asked for by a name of its own
        content = self.answer.dump_json(told, by_alias=True)
        headers: dict[str, str] = getattr(request.state, "headers", {})
        return Response(content, self.status, headers, media_type="application/json")


def routes(operations: Iterable[Operation]) -> list[Route]:
    """Return the routes that serve *operations*: one a path, so that a method that it lacks is told of all it has."""
    by_path: defaultdict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations:
        by_path[operation.path][operation.method] = operation
    return [
        Route(path, partial(_dispatch, methods), methods=list(methods), name=path) for path, methods in by_path.items()
    ]


async def _dispatch(methods: dict[str, Operation], request: Request) -> Response:
    method = "GET" if request.method == "HEAD" else request.method
    operation = methods[method]
    return await act(request, operation.path, operation.serve, found_again=operation.found_again)


async def narrowed(connection: HTTPConnection, query: Q, caller: Caller | None) -> Q:
    """Return *query* narrowed to what the caller may see. Raises Problem; UnknownAccount for one that never was."""
    if ACCOUNT not in type(query).model_fields:
        return query
    wanted = getattr(query, ACCOUNT)
    if wanted is not None:
        require_account(caller, wanted)
        await require_known(connection, wanted)
    if caller is None or caller.account_id is None:
        return query
    return query.model_copy(update={ACCOUNT: caller.account_id})
