"""
Pages about the API, for browsers: Swagger UI over our own document, and the catalogue of problems. Beside them the
documents themselves, of the operations and of the streams.

Swagger UI comes out of an installed package, found and never imported. Nothing is asked of any other place, and the
browser is told to allow nothing else. The pages are open: they say what the program can be asked, not what it knows.
"""

import html
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from api.problems import CATALOGUE, PAGE

DOCUMENT = "/openapi.json"
STREAMS_DOCUMENT = "/asyncapi.json"
SWAGGER = Path("vendor", "swagger-ui-5.31.0")
# Content-Security-Policy of the pages.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/docs/assets/favicon-32x32.png">
{head}
<body>
{body}
</body>
</html>
"""

_START = f"""\
SwaggerUIBundle({{
  url: "{DOCUMENT}",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  queryConfigEnabled: false,
}});
"""

_STYLE = "body{font:1rem/1.5 system-ui;max-width:50rem;margin:2rem auto;padding:0 1rem}dt{margin-top:1rem}"


def routes() -> list[BaseRoute]:
    """Return the routes of the pages."""
    return [
        Route("/docs", _swagger),
        Route("/docs/start.js", _start),
        Route("/docs/style.css", _style),
        Route(PAGE, _problems),
        Route(DOCUMENT, _document),
        Route(STREAMS_DOCUMENT, _streams_document),
        Mount("/docs/assets", StaticFiles(directory=_assets())),
    ]


@cache
def _assets() -> Path:
    found = find_spec("swagger_ui_bundle")
    places = found.submodule_search_locations if found else None
    if not places:
        raise RuntimeError("swagger-ui-bundle-v2 is not installed: run scripts/setup.sh")
    return Path(places[0]) / SWAGGER


async def _document(request: Request) -> Response:
    return JSONResponse(request.app.state.document())


async def _streams_document(request: Request) -> Response:
    return JSONResponse(request.app.state.streams_document())


async def _swagger(_: Request) -> Response:
    head = '<link rel="stylesheet" href="/docs/assets/swagger-ui.css">'
    body = (
        '<div id="swagger-ui"></div>\n'
        '<script src="/docs/assets/swagger-ui-bundle.js"></script>\n<script src="/docs/start.js"></script>'
    )
    return _page("The API of Perpetua", head, body)


async def _start(_: Request) -> Response:
    return Response(_START, media_type="text/javascript")


async def _style(_: Request) -> Response:
    return Response(_STYLE, media_type="text/css")


async def _problems(_: Request) -> Response:
    told = "\n".join(
        f'<dt id="{code}"><code>{code}</code> <small>{entry.status}</small></dt>\n'
        f"<dd>{html.escape(entry.title)}. {html.escape(entry.remedy)}</dd>"
        for code, entry in sorted(CATALOGUE.items())
    )
    head = '<link rel="stylesheet" href="/docs/style.css">'
    return _page("Problems", head, f"<h1>Problems</h1>\n<dl>\n{told}\n</dl>")


def _page(title: str, head: str, body: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return HTMLResponse(_PAGE.format(title=title, head=head, body=body), headers=headers)
