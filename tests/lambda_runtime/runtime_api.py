"""
AWS Lambda on the loopback: the Runtime API that Amazon's own runtime client polls, and the Invoke call of its SDK.

One function and one environment at a time. A call that finds no environment starts one, cold; the next one finds it
warm. A call that outlasts the function's time has its environment killed, and one whose environment dies is noticed:
both are answered as the cloud answers them, and the next call starts afresh.
"""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import uvicorn
from botocore.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

ROOT = Path(__file__).parents[2]
RUNTIME = "/2018-06-01/runtime"
ARN = "arn:aws:lambda:eu-central-1:000000000000:function:perpetua"
GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What the SDK hands to whoever called: the payload, and whether the function failed."""

    payload: Any
    failed: bool


@dataclass(slots=True)
class Environment:
    """A container: one process that asks for the next event, again and again."""

    process: asyncio.subprocess.Process
    events: asyncio.Queue[tuple[str, bytes] | None] = field(default_factory=asyncio.Queue)
    answer: asyncio.Future[tuple[bytes, bool]] = field(default_factory=asyncio.Future)
    spent: bool = False
    """It said that it could not begin, and is about to end by itself."""

    @property
    def serves(self) -> bool:
        return self.process.returncode is None and not self.spent

    async def end(self) -> None:
        """End it as a crash would: at once, in the middle of whatever it does."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.events.put_nowait(None)


class Function:
    """One deployed function: *handler* as in `functions.handlers.fetch`, with *variables* as its whole environment."""

    def __init__(self, handler: str, variables: Mapping[str, str], log: Path, *, seconds: float) -> None:
        self.cold_starts = 0
        self.log = log
        self.environment: Environment | None = None
        self.port = 0
        self._handler = handler
        self._variables = variables
        self._seconds = seconds
        self._one_at_a_time = asyncio.Lock()
        self.app = Starlette(
            routes=[
                Route("/2015-03-31/functions/{name}/invocations", self._invoke, methods=["POST"]),
                Route(f"{RUNTIME}/invocation/next", self._next),
                Route(f"{RUNTIME}/invocation/{{id}}/response", self._response, methods=["POST"]),
                Route(f"{RUNTIME}/invocation/{{id}}/error", self._error, methods=["POST"]),
                Route(f"{RUNTIME}/init/error", self._init_error, methods=["POST"]),
            ]
        )

    async def invoke(self, event: Any) -> Answer:
        """Call the function as everybody does, with boto3."""
        return await asyncio.to_thread(self._call, json.dumps(event))

    async def close(self) -> None:
        """End the environment, if there is one."""
        if self.environment is not None:
            await self.environment.end()

    def _call(self, event: str) -> Answer:
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="eu-central-1",
            aws_access_key_id="nobody",
            aws_secret_access_key="nothing",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60, proxies={}),
        )
        try:
            reply = client.invoke(FunctionName="perpetua", Payload=event)
            return Answer(json.loads(reply["Payload"].read()), "FunctionError" in reply)
        finally:
            client.close()

    async def _invoke(self, request: Request) -> Response:
        event = await request.body()
        async with self._one_at_a_time:
            environment = self.environment
            if environment is None or not environment.serves:
                await self.close()
                environment = self.environment = await self._start()
            environment.answer = asyncio.get_running_loop().create_future()
            environment.events.put_nowait((uuid4().hex, event))
            payload, failed = await self._outcome(environment)
        headers = {"X-Amz-Function-Error": "Unhandled"} if failed else {}
        return Response(payload, headers=headers)

    async def _outcome(self, environment: Environment) -> tuple[bytes, bool]:
        ended = asyncio.create_task(environment.process.wait())
        either: set[asyncio.Future[Any]] = {environment.answer, ended}
        await asyncio.wait(either, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        if environment.answer.done():
            ended.cancel()
            return environment.answer.result()
        timed_out = environment.serves
        await environment.end()
        await ended
        if timed_out:
            return _fault("Sandbox.Timedout", f"Task timed out after {self._seconds:.2f} seconds"), True
        return _fault("Runtime.ExitError", f"Runtime exited with status {environment.process.returncode}"), True

    async def _start(self) -> Environment:
        self.cold_starts += 1
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "awslambdaric", self._handler),
                cwd=ROOT,
                env={
                    "PATH": os.environ["PATH"],
                    "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.port}",
                    "AWS_LAMBDA_FUNCTION_NAME": "perpetua",
                    "AWS_REGION": "eu-central-1",
                    **self._variables,
                },
                stdout=log,
                stderr=log,
            )
        return Environment(process)

    async def _next(self, request: Request) -> Response:
        assert self.environment is not None
        found = await self.environment.events.get()
        if found is None:  # nobody is left to read this
            return Response(status_code=GONE)
        name, event = found
        headers = {
            "Lambda-Runtime-Aws-Request-Id": name,
            "Lambda-Runtime-Deadline-Ms": str(round((time.time() + self._seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
        }
        return Response(event, headers=headers, media_type="application/json")

    async def _response(self, request: Request) -> Response:
        return await self._answered(request, failed=False)

    async def _error(self, request: Request) -> Response:
        return await self._answered(request, failed=True)

    async def _init_error(self, request: Request) -> Response:
        assert self.environment is not None
        self.environment.spent = True
        return await self._answered(request, failed=True)

    async def _answered(self, request: Request, *, failed: bool) -> Response:
        payload = await request.body()
        if self.environment is not None and not self.environment.answer.done():
            self.environment.answer.set_result((payload, failed))
        return Response(status_code=202)


def _fault(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": f"Error: {message}"}).encode()


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[int]:
    """Serve *app* on a loopback port of its own and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Without Nagle's algorithm, with which every answer would wait for a delayed acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def deployed(
    handler: str, variables: Mapping[str, str], log: Path, *, seconds: float = 30
) -> AsyncIterator[Function]:
    """Make *handler* callable, with an environment of *variables* only, its output in *log*, and *seconds* a call."""
    function = Function(handler, variables, log, seconds=seconds)
    async with served(function.app) as function.port:
        try:
            yield function
        finally:
            await function.close()
