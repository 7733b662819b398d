"""
Hands out the dashboard's files, as they are in `static/`, and the chart library out of its wheel.

They hold nothing of anybody's account, so everybody may have them; what they then ask for, the API answers to whom it
knows. A browser keeps them and asks each time whether they have changed. It runs no script and applies no style that
is not one of these files, and talks to nobody but the server they came from.
"""

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC = Path(__file__).parent / "static"

CHART_LIBRARY = "lightweight-charts.standalone.production.js"

LOGO_STYLE = (
    "a#tv-attr-logo{--fill:#131722;--stroke:#fff;position:absolute;left:10px;bottom:10px;height:19px;width:35px;"
    "margin:0;padding:0;border:0;z-index:3;}a#tv-attr-logo[data-dark]{--fill:#D1D4DC;--stroke:#131722;}"
)
"""The one style sheet that the chart library writes itself, for the link that its licence asks for."""


def chart_library() -> Path:
    """Return the folder that holds CHART_LIBRARY. The package is only looked up: importing it would take pandas."""
    spec = find_spec("lwcharts")
    assert spec is not None and spec.submodule_search_locations  # noqa: S101, PT018 - it is in the lock
    return Path(spec.submodule_search_locations[0]) / "vendor"


def _policy() -> str:
    logo = base64.b64encode(hashlib.sha256(LOGO_STYLE.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'sha256-{logo}'",
            "img-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


HEADERS = {"Content-Security-Policy": _policy(), "Cache-Control": "no-cache"}


class Shelf:
    """Puts HEADERS on whatever *app* answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_marked)


def routes() -> list[BaseRoute]:
    """Return what serves the page at `/` and the files it consists of."""
    return [
        Route("/", Shelf(GZipMiddleware(_Page())), methods=["GET"], name="dashboard"),
        _folder("/assets", STATIC),
        _folder("/vendor", chart_library()),
    ]


class _Page:
    """The one page there is."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=STATIC)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response = await self._files.get_response("index.html", scope)
        await response(scope, receive, send)


def _folder(path: str, folder: Path) -> Mount:
    return Mount(path, Shelf(GZipMiddleware(StaticFiles(directory=folder))), name=path.strip("/"))
