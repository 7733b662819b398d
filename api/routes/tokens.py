"""Tokens of the house: made, listed and revoked by those who may do everything, on every account."""

from typing import Annotated

from pydantic import Field
from starlette.requests import Request

from api.answers import Listing, MadeToken, Token
from api.auth import admission_of, caller_of
from api.bodies import Body
from api.credentials import Drawn, draw_token
from api.schemas import AccountId, Limit, Query
from api.state import tokens_of
from shared.db.tokens import NewToken
from shared.domain.access import Scope
from shared.durations import Duration

TokenId = Annotated[int, Field(ge=1, lt=2**63, description="As /tokens names it.")]
TokenName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="Whose; never used twice.", examples=["grafana"]),
]
"""In small letters: names of the house's own, such as API_TOKEN, cannot be taken."""


class TokenWanted(Body):
    """A token to make: whose, what it may do, on which account alone, and for how long, such as `90d`."""

    name: TokenName
    scope: Scope = Field(description="What it may do.", examples=["read"])
    account: AccountId | None = Field(default=None, description="The only one it is for; without it, all.")
    expires_in: Duration | None = Field(default=None, description="Until it is revoked, without.", examples=["90d"])

    def drawn(self, drawn: Drawn, *, created_by: str) -> NewToken:
        """Return what is kept of it."""
        return NewToken(
            name=self.name,
            scope=self.scope,
            account_id=self.account,
            lifetime=self.expires_in,
            created_by=created_by,
            prefix=drawn.prefix,
            digest=drawn.digest,
        )


class TokensQuery(Query):
    """A page of tokens."""

    limit: Limit = Field(default=100, description="Rows of a page.")
    before: str | None = Field(default=None, description="The `next` of the page before.")


async def listed(request: Request, query: TokensQuery) -> Listing[Token]:
    """Every token there ever was, newest first. What lets somebody in is shown to nobody."""
    return Listing[Token].of(await tokens_of(request).page(**query.model_dump()))


async def create(request: Request, body: TokenWanted) -> MadeToken:
    """Make a token. It is in `token`, and is never shown again, not even to the same Idempotency-Key."""
    drawn = draw_token()
    made = await tokens_of(request).create(body.drawn(drawn, created_by=caller_of(request).name))
    return MadeToken(**made, token=drawn.text)


async def revoke(request: Request, token: TokenId) -> Token:
    """Revoke a token, for good: it lets nobody in from now on, and in other processes within seconds."""
    revoked = Token(**await tokens_of(request).revoke(token))
    admission_of(request).forget()
    return revoked
