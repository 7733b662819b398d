"""Child processes that end with their parent, speak through it, and are stopped in the reverse of their order."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

STOP_SECONDS = 20
_PR_SET_PDEATHSIG = 1


class Children:
    """The processes of one run. Each line that one prints is handed to its listener."""

    def __init__(self) -> None:
        self._children: list[tuple[str, asyncio.subprocess.Process]] = []
        self._listeners: list[asyncio.Task[None]] = []

    async def start(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        hear: Callable[[str], None],
        ready: str | None = None,
    ) -> None:
        """Start Python with *arguments*; return once a line holding *ready* was heard. Raises ChildEnded."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which stops the others in order
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._children.append((name, child))
        is_ready = asyncio.Event()

        async def listen() -> None:
            assert child.stdout is not None  # noqa: S101 - it was asked for above
            async for raw in child.stdout:
                line = raw.decode(errors="replace").rstrip()
                if ready and ready in line:
                    is_ready.set()
                else:
                    hear(line)

        self._listeners.append(asyncio.create_task(listen()))
        if ready:
            ended = asyncio.create_task(child.wait())
            waiting = asyncio.create_task(is_ready.wait())
            await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not is_ready.is_set():
                raise ChildEnded(f"{name} could not start; it says why above")

    async def first_to_end(self) -> str:
        """Return the name of the first child that ends by itself."""
        waits = [asyncio.create_task(child.wait(), name=name) for name, child in self._children]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().get_name()
        finally:
            for task in waits:
                task.cancel()

    async def stop(self) -> None:
        """Ask the last started to end first, so that nobody loses what it leans on."""
        for _, child in reversed(self._children):
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(child.wait(), STOP_SECONDS)
                except TimeoutError:
                    child.kill()
                    await child.wait()
        await asyncio.gather(*self._listeners)


class ChildEnded(Exception):
    """A process ended that should not have."""


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
