"""
The token that begins it all: a house that nobody can enter makes one when it opens, and shows it once.

It goes to the terminal, or to whoever keeps what a container says, and never to the log files, where tokens are masked.
"""

import sys

from api.credentials import draw_token
from shared.db.audit import Action, AuditTrail
from shared.db.tokens import NewToken, TokenTable
from shared.domain.access import Scope
from shared.runtime import Runtime

NAME = "first"
MAKER = "first start"


async def make_first_token(runtime: Runtime) -> None:
    """Make the token, unless there was ever one, or none is needed. Of processes that start together one does.

    Raises DatabaseUnavailable.
    """
    if not runtime.settings.guarded or runtime.settings.api_token is not None:
        return
    drawn = draw_token()
    token = NewToken(name=NAME, scope=Scope.ADMIN, created_by=MAKER, prefix=drawn.prefix, digest=drawn.digest)
    made = await TokenTable(runtime.database).create_first(token)
    if not made:
        return
    action = Action(action="create the first token", caller=MAKER, body={"name": NAME, "prefix": drawn.prefix})
    await AuditTrail(runtime.database).add(action, 201)
    line = f"perpetua: the first token, which may do everything and is not shown again: {drawn.text}"
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the voice
