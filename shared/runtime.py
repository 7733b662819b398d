"""
Composition: which adapter stands behind which port, and how long each one lives.

Everything is decided by the settings: paper, test and live differ in addresses and in the clock, nothing else.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

import httpx

from shared.accounts import ConfiguredAccount, ExchangeKeys
from shared.clock import VenueClock
from shared.db.allowances import AllowanceTable
from shared.db.lanes import LaneTable
from shared.db.tallies import write_down
from shared.db.unit_of_work import Database
from shared.domain.account import Account
from shared.domain.errors import (
    DatabaseUnavailable,
    NotAuthorised,
    PerpetuaError,
    Refused,
    UnknownAccount,
    VenueError,
    VenueUnreachable,
)
from shared.domain.owner import Owner, Wallet, require_owner, require_wallet
from shared.domain.ports import Analyst, Clock
from shared.domain.tally import Tally
from shared.domain.work import OpenWork
from shared.exchange.account import AsterExchange, open_exchange
from shared.exchange.auth import NONCES, ApiKey, Credentials, SignerWallet
from shared.exchange.limits import weight_budget
from shared.exchange.market import AsterMarketData, open_market
from shared.indicators.talib_analyst import IndicatorSettings, TalibAnalyst, computable
from shared.llm.catalogue import Catalogue
from shared.llm.client import OpenRouterClient
from shared.llm.engine import LlmEngine
from shared.llm.prompt import PromptTemplate
from shared.roster import Roster
from shared.settings import Mode, Settings, SettingsError

log = logging.getLogger("perpetua.app")

PATIENCE_SECONDS = 30
"""How long a long-lived process waits for a database that is still starting."""


class Runtime:
    """The adapters of one process. Open it once and close it at the end; an account's own are made when asked for."""

    def __init__(
        self,
        settings: Settings,
        *,
        long_lived: bool,
        clock: Clock | None = None,
        exchange_transport: httpx.AsyncBaseTransport | None = None,
        model_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect nothing yet. A *clock* or a transport that is handed in takes the place of the real one."""
        if settings.database_url is None:
            raise SettingsError("DATABASE_URL is not set, and no server of our own was started")
        self.settings = settings
        self._long_lived = long_lived
        self.roster = Roster(settings)
        _require_computable(self.accounts.values())
        self.database = Database(settings.database_url.get_secret_value(), long_lived=long_lived)
        self.open_work: OpenWork = self.database.open_work
        venue_clock = VenueClock(source=self.synchronise)
        self._venue_clock = None if clock else venue_clock
        self.clock: Clock = clock or venue_clock
        self._synchronised = self._venue_clock is None
        self.tally = Tally()
        self.market: AsterMarketData = open_market(
            settings.exchange_url, self.clock, exchange_transport, tally=self.tally
        )
        self.analyst: Analyst = TalibAnalyst(_indicators(settings))
        self._exchange_transport = exchange_transport
        # What all processes behind one address share, and who of them gives out which nonces.
        self._allowances, self._lanes = AllowanceTable(self.database), LaneTable(self.database)
        self._budget = weight_budget(settings.exchange_url, exchange_transport)
        self._budget.share(self._allowances, settings.egress_name)
        NONCES.share(self._lanes)
        self._http = httpx.AsyncClient(transport=model_transport, follow_redirects=False)
        self._templates = _templates(self.accounts.values())
        self._exchanges: dict[str, tuple[ExchangeKeys, AsterExchange]] = {}
        self._retired: list[AsterExchange] = []
        self._here = Owner(settings.trading_mode.value)
        """The exchange, as far as it has told what its books are called."""
        self._recognised: dict[str, tuple[Owner, str]] = {}
        """What the books were found to belong to, by account: the exchange, and the key that opens its wallet."""
        self._engines: dict[tuple[str, str], LlmEngine] = {}
        self._catalogues: dict[str, Catalogue] = {}

    @classmethod
    async def open(cls, settings: Settings, *, long_lived: bool) -> Self:
        """Return a runtime whose accounts stand in the database and whose clock, if it could be, is set.

        A long-lived process waits for its database for a while, as the two may start together. Raises
        DatabaseUnavailable, SettingsError, ForeignBooks.
        """
        runtime = cls(settings, long_lived=long_lived)
        try:
            with suppress(VenueError):  # whoever needs the time asks again, and is told what is wrong
                await runtime.synchronise()
            await runtime.record_accounts(patience=PATIENCE_SECONDS if long_lived else 0)
        except BaseException:
            await runtime.close()
            raise
        return runtime

    async def record_accounts(self, *, patience: int = 0) -> None:
        """Bring the accounts table up to the configuration. Raises DatabaseUnavailable after *patience* seconds.

        Raises ForeignBooks for a database that is another exchange's, as far as is known yet.
        """
        if self.settings.terms.delay and not self._synchronised:
            with suppress(VenueError):  # what has to wait is waited for by the exchange's clock, if that can be had
                await self.synchronise()
        for waited in range(patience + 1):
            try:
                async with self.open_work() as work:
                    require_owner(await work.owners.get(), self._here, self.settings.exchange_url)
                    await self.roster.record(work, self.clock.now())
                    return self._follow()
            except DatabaseUnavailable as exc:
                if waited == patience:
                    raise
                log.warning("waiting for the database", extra={"why": str(exc)})
                await asyncio.sleep(1)
        return None

    async def follow_accounts(self) -> bool:
        """Take over what was said of accounts since; return whether anything is different. Raises DatabaseUnavailable.

        What is at work on an account goes on with what it began with.
        """
        async with self.open_work() as work:
            changed = await self.roster.follow(work, self.clock.now())
        if changed:
            self._follow()
        return changed

    def _follow(self) -> None:
        self._templates |= _templates(self.accounts.values())
        self._engines.clear()
        for account_id, (keys, exchange) in list(self._exchanges.items()):
            found = self.accounts.get(account_id)
            if found is None or found.exchange_keys != keys:
                # Somebody may be at work with it: it is closed with everything else.
                self._retired.append(exchange)
                del self._exchanges[account_id]

    async def synchronise(self) -> None:
        """Set the clock by the exchange's. A clock that was handed in is left alone. Raises VenueError."""
        if self._venue_clock is None:
            return
        paper = self.settings.trading_mode is Mode.PAPER
        try:
            if paper:  # real time is never taken for anything but real
                told = await self.market.emulation()
                self._venue_clock.speed, self._here = told.speed, replace(self._here, books=told.books)
            await self._venue_clock.synchronise(self.market.server_time)
        except VenueUnreachable as exc:
            hint = "scripts/dev.sh starts the emulated one" if paper else "check ASTERDEX_BASE_URL and the network"
            raise VenueUnreachable(f"no exchange answers at {self.settings.exchange_url}: {hint} ({exc})") from exc
        self._synchronised = True

    async def require_time(self) -> None:
        """Have the exchange's time, or raise VenueError: no tick may be named by a clock that was never set.

        A short-lived process asks every time: a container may have been frozen since, and its clock with it.
        """
        if not (self._synchronised and self._long_lived):
            await self.synchronise()

    async def recognise(self, account_id: str | None = None) -> None:
        """Be sure that this database's books are those of this exchange, and the account's of the wallet of its key.

        An account that trades on books that are nobody's yet has them belong to what it trades with. A paper exchange
        may be another one at any time, so it is asked every time; a wallet is, when its key is new. Raises
        ForeignBooks, VenueError, UnknownAccount, DatabaseUnavailable.
        """
        if self.settings.trading_mode is Mode.PAPER:
            self._here = replace(self._here, books=(await self.market.emulation()).books)
        address = self.settings.exchange_url
        if account_id is None:
            async with self.open_work() as work:
                return require_owner(await work.owners.get(), self._here, address)
        exchange = self.exchange(account_id)
        seen = self._here, exchange.key
        if self._recognised.get(account_id) == seen:
            return None
        async with self.open_work() as work:
            require_owner(await work.owners.get(), self._here, address)
            known = await work.owners.wallet(account_id)
        try:
            wallet = await self._wallet(account_id, exchange, known)
        except Refused as exc:  # whoever trades is refused as well, and halts the account
            log.warning("wallet not recognised", extra={"account": account_id, "why": str(exc)})
            return None
        async with self.open_work() as work:
            require_owner(await work.owners.claim(self._here), self._here, address)
            if wallet != known:
                await work.owners.keep_wallet(account_id, wallet)
        self._recognised[account_id] = seen
        return None

    async def _wallet(self, account_id: str, exchange: AsterExchange, known: Wallet | None) -> Wallet:
        """Return the wallet that the key opens; the exchange is asked when it is a new key. Raises ForeignBooks."""
        if known and known.key == exchange.key:
            return known
        found = Wallet(exchange.key, await exchange.alias())
        require_wallet(account_id, known, found)
        return replace(found, name=known.name) if known and not found.name else found

    async def verify(self) -> None:
        """Refuse a set-up that cannot trade: a symbol that is not listed, a key that the exchange does not accept.

        Raises SettingsError with a line for each problem, ForeignBooks.
        """
        problems = [line for each in self._configured() for line in await self.unlisted(each.id, each.symbols)]
        for account in self._configured():
            try:
                await self.exchange(account.id).verify_identity()
            except NotAuthorised as exc:
                problems.append(f"account {account.id}: {exc}")
        if problems:
            raise SettingsError("\n".join(problems))
        for account in self._configured():
            await self.recognise(account.id)
        for account in self._configured():  # no more than a warning: it may be right again when it is needed
            await self.engine(account.id).check((account.model, *account.fallback_models))

    async def write_down(self) -> None:
        """Have the database know what this process has counted. While it cannot, the counts are kept."""
        try:
            await write_down(self.database, self.tally)
        except PerpetuaError as exc:  # nothing that is done waits for its being counted
            log.warning("counts are kept for later", extra={"why": str(exc)})

    @property
    def weight_limit(self) -> int:
        """The request weight that the exchange allows a minute, as far as this process was told."""
        return self._budget.limit

    async def unlisted(self, account_id: str, symbols: Iterable[str]) -> list[str]:
        """Return a line for each of the account's symbols that the exchange does not list. Raises VenueError."""
        listed = await self.market.instruments()
        return [
            f"account {account_id}: the exchange at {self.settings.exchange_url} does not list {symbol}"
            for symbol in symbols
            if symbol not in listed
        ]

    async def verify_account(self, found: ConfiguredAccount) -> list[str]:
        """Refuse an account that cannot trade, and return warnings about its models.

        Raises SettingsError with a line for each problem, VenueError when the exchange cannot be asked, and
        ForeignBooks where an account of that name has the books of another wallet.
        """
        account = found.account
        async with self.open_work() as work:
            known = await work.owners.wallet(account.id)
        _require_computable([found])
        _templates([found])
        problems = await self.unlisted(account.id, account.symbols)
        exchange = self._opened(found.exchange_keys)
        try:
            await exchange.verify_identity()
            await self._wallet(account.id, exchange, known)
        except NotAuthorised as exc:
            problems.append(f"account {account.id}: {exc}")
        finally:
            await exchange.aclose()
        if problems:
            raise SettingsError("\n".join(problems))
        engine = self._engine(found, self._templates.get(found.prompt_file) or PromptTemplate())
        return await engine.warnings((account.model, *account.fallback_models))

    @property
    def accounts(self) -> Mapping[str, ConfiguredAccount]:
        """The accounts that there are here, as they are in force, by id."""
        return self.roster.accounts

    @property
    def speed(self) -> float:
        """How many times faster than life the exchange's time runs."""
        return self._venue_clock.speed if self._venue_clock else 1.0

    @property
    def intervals(self) -> dict[str, timedelta]:
        """The configured accounts by id, with how often each runs."""
        return {account.id: account.interval for account in self._configured()}

    @property
    def request_limit(self) -> tuple[str, int]:
        """The name of the limit that all accounts behind this address share, and what it allows in a minute."""
        return self.settings.egress_name, self._budget.limit

    def exchange(self, account_id: str) -> AsterExchange:
        """Return the account at the exchange. Raises UnknownAccount."""
        if account_id not in self._exchanges:
            keys = self._account(account_id).exchange_keys
            self._exchanges[account_id] = keys, self._opened(keys)
        return self._exchanges[account_id][1]

    def _opened(self, keys: ExchangeKeys) -> AsterExchange:
        return open_exchange(
            self.settings.exchange_url,
            self._credentials(keys),
            self.clock,
            self._exchange_transport,
            instruments_changed=self.market.forget_instruments,
            tally=self.tally,
        )

    def engine(self, account_id: str, template: PromptTemplate | None = None) -> LlmEngine:
        """Return the model as the account reaches it, with the account's own key and prompt, or with *template*.

        Raises UnknownAccount.
        """
        found = self._account(account_id)
        template = template or self._templates[found.prompt or found.prompt_file]
        if (account_id, template.version) not in self._engines:
            self._engines[account_id, template.version] = self._engine(found, template)
        return self._engines[account_id, template.version]

    def _engine(self, found: ConfiguredAccount, template: PromptTemplate) -> LlmEngine:
        try:
            client = OpenRouterClient(found.model_url, found.model_key.get_secret_value(), self._http)
        except ValueError as exc:
            raise SettingsError(f"account {found.account.id}: {exc}") from None
        # What a service lists is the same for whoever asks.
        catalogue = self._catalogues.setdefault(found.model_url, Catalogue(client, self.clock))
        return LlmEngine(
            client,
            template,
            self.clock,
            catalogue,
            found.account.model_options,
            deadline=timedelta(seconds=self.settings.llm_timeout_seconds),
        )

    def shadows(self, account_id: str) -> list[tuple[str, LlmEngine]]:
        """Return the models that the account is compared with, each with its engine. Raises UnknownAccount."""
        return [
            (shadow.model, self.engine(account_id, self._templates[shadow.prompt_file] if shadow.prompt_file else None))
            for shadow in self._account(account_id).shadows
        ]

    async def close(self) -> None:
        """Close every connection."""
        self._budget.part(self._allowances)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            stack.push_async_callback(NONCES.leave, self._lanes)
            stack.push_async_callback(self._http.aclose)
            stack.push_async_callback(self.market.aclose)
            for exchange in (*self._retired, *(opened for _, opened in self._exchanges.values())):
                stack.push_async_callback(exchange.aclose)

    def _configured(self) -> list[Account]:
        return [found.account for found in self.accounts.values()]

    def _account(self, account_id: str) -> ConfiguredAccount:
        if account_id not in self.accounts:
            raise UnknownAccount(f"no account {account_id!r} is configured here")
        return self.accounts[account_id]

    def _credentials(self, keys: ExchangeKeys) -> Credentials:
        if keys.api_key is not None and keys.api_secret is not None:
            return ApiKey(key=keys.api_key.get_secret_value(), secret=keys.api_secret.get_secret_value())
        if keys.private_key is None:
            raise SettingsError("the account has no key to sign with")
        return SignerWallet(
            private_key=keys.private_key.get_secret_value(), user=keys.user, chain_id=self.settings.chain_id
        )


def _indicators(settings: Settings) -> IndicatorSettings:
    try:
        return IndicatorSettings(
            ema=settings.indicator_ema,
            sma=settings.indicator_sma,
            rsi=settings.indicator_rsi,
            atr=settings.indicator_atr,
            adx=settings.indicator_adx,
            macd=settings.indicator_macd,
            bollinger=settings.indicator_bollinger,
            bollinger_width=settings.indicator_bollinger_width,
            stochastic=settings.indicator_stochastic,
        )
    except ValueError as exc:
        raise SettingsError(f"INDICATOR_*: {exc}") from None


def _require_computable(accounts: Iterable[ConfiguredAccount]) -> None:
    for found in accounts:
        if unknown := sorted(set(found.account.model_options.indicators) - computable()):
            raise SettingsError(
                f"account {found.account.id}: LLM_TOOL_INDICATORS names {unknown[0]}, "
                "which is no TA-Lib function of candles"
            )


def _templates(accounts: Iterable[ConfiguredAccount]) -> dict[Path | str | None, PromptTemplate]:
    """Read every template that is named or given, and the one of the house. Raises SettingsError."""
    accounts = list(accounts)
    paths = {path for found in accounts for path in (found.prompt_file, *(each.prompt_file for each in found.shadows))}
    try:
        templates: dict[Path | str | None, PromptTemplate] = {None: PromptTemplate()}
        templates |= {path: PromptTemplate(path) for path in paths if path}
        given = {found.prompt: found.account.id for found in accounts if found.prompt}
        return templates | {text: PromptTemplate(Path(f"of-{name}"), text) for text, name in given.items()}
    except ValueError as exc:
        raise SettingsError(f"PROMPT_FILE: {exc}") from None
