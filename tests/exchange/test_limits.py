"""One limit for all processes: drawn on in shares, given back, kept when the account of it is away, closed for all."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.clock import SteppedClock
from shared.domain.allowance import Allowance, Grant, Report, ordinary_room
from shared.domain.errors import ClockSkewed, DatabaseUnavailable, RateLimited
from shared.exchange import limits
from shared.exchange.auth import SignerWallet
from shared.exchange.client import WALL_SECONDS, AsterClient
from shared.exchange.limits import ORDERS_A_MINUTE, SHARE, WEIGHT_A_MINUTE, Budget, read_limits

NOW = datetime(2025, 6, 15, 12, 0, 5, tzinfo=UTC)
ORDINARY = ordinary_room(WEIGHT_A_MINUTE)
WALLET = SignerWallet("0x" + "11" * 32)
TIME, ORDER = "GET /fapi/v3/time", "POST /fapi/v3/order"


class Shared:
    """Keeps an account as the database does; it can be away, or not answer at all."""

    def __init__(self) -> None:
        self.account = Allowance()
        self.reports: list[Report] = []
        self.away = False
        self.silent = False

    async def settle(self, name: str, report: Report) -> Grant:
        self.reports.append(report)
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise DatabaseUnavailable("no answer")
        await asyncio.sleep(0)
        return self.account.settle(report)


class Process:
    """A process's budget, and time that passes when somebody sleeps."""

    def __init__(self, shared: Shared, clock: SteppedClock) -> None:
        self.budget = Budget(WEIGHT_A_MINUTE)
        self.budget.share(shared, "an address")
        self.clock = clock
        self.slept = 0.0

    async def use(self, weight: int, *, urgent: bool = False, patience: float = 0.0) -> datetime:
        return await self.budget.reserve(weight, clock=self.clock, sleep=self.sleep, patience=patience, urgent=urgent)

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.clock.advance(self.clock.now() + timedelta(seconds=seconds))


@pytest.fixture
def shared() -> Shared:
    return Shared()


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


@pytest.fixture
def process(shared: Shared, clock: SteppedClock) -> Process:
    return Process(shared, clock)


async def test_a_burst_asks_for_a_share_and_for_what_that_did_not_hold(shared: Shared, process: Process) -> None:
    await asyncio.gather(*(process.use(5) for _ in range(30)))

    assert len(shared.reports) == 2
    assert shared.account.used() == 150


async def test_what_was_left_of_a_share_is_given_back_with_the_next(
    shared: Shared, process: Process, clock: SteppedClock
) -> None:
    await process.use(1)
    assert shared.account.used() == SHARE

    clock.advance(NOW + timedelta(seconds=10))
    await process.use(2)

    assert shared.account.used() == 1 + SHARE


async def test_two_processes_never_use_more_than_the_ordinary_room(shared: Shared, clock: SteppedClock) -> None:
    processes = [Process(shared, clock), Process(shared, clock)]
    used = 0
    for n in range(1000):
        try:
            await processes[n % 2].use(5)
        except RateLimited:
            break
        used += 5

    assert ORDINARY - 2 * SHARE <= used <= ORDINARY


async def test_whoever_has_patience_waits_until_a_minute_has_passed(shared: Shared, process: Process) -> None:
    await process.use(ORDINARY)

    await process.use(1, patience=90)

    assert process.slept == 65
    assert len(shared.reports) <= 9  # asked once in each slice


async def test_an_urgent_request_finds_the_reserve_that_another_process_left(
    shared: Shared, clock: SteppedClock
) -> None:
    await Process(shared, clock).use(ORDINARY)
    other = Process(shared, clock)

    with pytest.raises(RateLimited):
        await other.use(1)
    await other.use(1, urgent=True)

    assert shared.account.used() == ORDINARY + 1


async def test_what_strangers_use_at_our_address_is_not_used_again(
    shared: Shared, process: Process, clock: SteppedClock
) -> None:
    minute = await process.use(1)

    process.budget.learn(minute, ORDINARY - 10)
    with pytest.raises(RateLimited):
        await process.use(20)

    with pytest.raises(RateLimited):
        await Process(shared, clock).use(20)


async def test_while_the_database_is_away_a_process_makes_do_with_a_small_part_and_protection_goes_on(
    shared: Shared, process: Process
) -> None:
    shared.away = True
    own = ordinary_room(WEIGHT_A_MINUTE // limits.OWN_PART)

    for _ in range(own):
        await process.use(1)
    with pytest.raises(RateLimited):
        await process.use(1)
    await process.use(1, urgent=True)

    assert len(shared.reports) == 1


async def test_a_database_that_hangs_holds_protection_up_for_a_moment_once(
    shared: Shared, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PATIENCE_SECONDS", 0.01)
    shared.silent = True

    for _ in range(100):
        await process.use(1, urgent=True)

    assert len(shared.reports) == 1


async def test_what_was_used_while_the_database_was_away_is_told_when_it_is_back(
    shared: Shared, process: Process, clock: SteppedClock
) -> None:
    shared.away = True
    await process.use(50)
    shared.away = False

    clock.advance(NOW + timedelta(seconds=10))
    await process.use(1)

    assert shared.account.used() == 50 + SHARE


async def test_a_refusal_is_known_to_all_processes_at_their_next_share(
    shared: Shared, process: Process, clock: SteppedClock
) -> None:
    await process.budget.close(120, clock=clock)

    with pytest.raises(RateLimited) as refusal:
        await Process(shared, clock).use(1, urgent=True)

    assert refusal.value.retry_after == 120


async def test_a_refusal_that_nobody_could_be_told_is_told_later(
    shared: Shared, process: Process, clock: SteppedClock
) -> None:
    shared.away = True
    await process.budget.close(15, clock=clock)
    shared.away = False

    clock.advance(NOW + timedelta(seconds=15))
    await process.use(1)

    assert shared.account.careful_until is not None


async def test_after_a_refusal_ordinary_requests_make_do_with_half(
    shared: Shared, process: Process, clock: SteppedClock
) -> None:
    await process.budget.close(5, clock=clock)
    clock.advance(NOW + timedelta(seconds=5))

    await process.use(ORDINARY // 2)
    with pytest.raises(RateLimited):
        await process.use(1)
    await process.use(1, urgent=True)


class Unset(SteppedClock):
    """A clock that was never set: its time is a guess."""

    @property
    def is_set(self) -> bool:
        return False

    async def assure(self, *, doubted: bool = False) -> None:
        raise ClockSkewed("never set")


async def test_a_process_that_knows_no_time_yet_counts_nothing_against_the_others(shared: Shared) -> None:
    class Timeless(Shared):
        async def settle(self, name: str, report: Report) -> Grant:
            self.reports.append(report)
            return Grant(amount=0, closed_for=self.closed_for)

        closed_for = 0.0

    timeless = Timeless()
    process = Process(timeless, Unset(NOW + timedelta(days=400)))

    await process.use(1)
    assert timeless.reports[0].now is None

    timeless.closed_for = 120.0
    with pytest.raises(RateLimited):
        await Process(timeless, process.clock).use(1, urgent=True)


async def test_nothing_is_signed_by_a_clock_that_was_never_set(venue: Any) -> None:
    venue.answer("GET /fapi/v3/order", {})
    venue.clock = Unset(NOW)

    with pytest.raises(ClockSkewed):
        await venue.client(WALLET).read("order", weight=1, into=lambda payload: payload)

    assert venue.received == []


async def test_a_clock_that_the_exchange_doubts_is_set_anew_and_a_read_asked_once_more(venue: Any) -> None:
    class Noting(SteppedClock):
        doubts = 0

        async def assure(self, *, doubted: bool = False) -> None:
            self.doubts += doubted

    venue.clock = Noting(NOW)
    expired = (400, {"code": -4225, "msg": "Nonce Expired"})
    venue.answer("GET /fapi/v3/order", expired, {})
    await venue.client(WALLET).read("order", weight=1, into=lambda payload: payload)
    assert (venue.clock.doubts, len(venue.received)) == (1, 2)

    venue.answer("GET /fapi/v3/order", expired)
    with pytest.raises(ClockSkewed):
        await venue.client(WALLET).read("order", weight=1, into=lambda payload: payload)
    assert (venue.clock.doubts, len(venue.received)) == (3, 4)

    venue.answer(ORDER, expired)
    with pytest.raises(ClockSkewed):
        await venue.client(WALLET).write("POST", "order", {}, into=lambda payload: payload)
    assert (venue.clock.doubts, len(venue.received)) == (4, 5)


async def test_a_firewall_s_refusal_closes_for_a_minute(venue: Any) -> None:
    venue.answer(ORDER, (403, "<html>"), {})
    client = venue.client(WALLET)
    with pytest.raises(RateLimited) as refusal:
        await client.write("POST", "order", {}, into=lambda payload: payload, urgent=True)

    await venue.sleep(59)
    with pytest.raises(RateLimited):
        await client.write("POST", "order", {}, into=lambda payload: payload, urgent=True)
    await venue.sleep(1)
    await client.write("POST", "order", {}, into=lambda payload: payload, urgent=True)

    assert refusal.value.retry_after == WALL_SECONDS == 60
    assert venue.calls() == [ORDER, ORDER]


async def test_an_account_s_orders_run_out_for_it_alone(venue: Any) -> None:
    venue.answer(ORDER, (200, {}, {"X-MBX-ORDER-COUNT-1M": str(ordinary_room(ORDERS_A_MINUTE))}))
    one, other = venue.client(WALLET), venue.client(SignerWallet("0x" + "22" * 32))
    await one.write("POST", "order", {}, into=lambda payload: payload)

    with pytest.raises(RateLimited):
        await one.write("POST", "order", {}, into=lambda payload: payload)
    await one.write("POST", "order", {}, into=lambda payload: payload, urgent=True)
    await other.write("POST", "order", {}, into=lambda payload: payload)

    assert len(venue.received) == 3


async def test_too_many_orders_of_one_account_close_nothing_for_the_others(venue: Any) -> None:
    venue.answer(ORDER, (429, {"code": -1015, "msg": "Too many new orders."}, {"Retry-After": "30"}), {})
    venue.answer(TIME, {})
    with pytest.raises(RateLimited):
        await venue.client(WALLET).write("POST", "order", {}, into=lambda payload: payload, urgent=True)

    with pytest.raises(RateLimited):
        await venue.client(WALLET).write("POST", "order", {}, into=lambda payload: payload, urgent=True)
    await venue.client().read("time", weight=1, into=lambda payload: payload)
    await venue.client(SignerWallet("0x" + "22" * 32)).write("POST", "order", {}, into=lambda payload: payload)

    assert venue.calls() == [ORDER, TIME, ORDER]


async def test_the_exchange_says_what_it_allows(venue: Any) -> None:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 100}
    orders = {**weight, "rateLimitType": "ORDERS", "limit": 50}
    venue.answer("GET /fapi/v3/exchangeInfo", {"rateLimits": [weight, orders]})
    client = venue.client(WALLET)

    await venue.client().read("exchangeInfo", weight=1, into=lambda payload: payload)

    assert (client._weights.limit, client._orders.limit) == (100, 50)
    assert venue.client(SignerWallet("0x" + "22" * 32))._orders.limit == 50
    assert read_limits({"rateLimits": [weight, {**weight, "interval": "DAY"}, 7, {}]}) == {"REQUEST_WEIGHT": 100}
    assert read_limits([]) == read_limits({"rateLimits": None}) == {}


async def test_an_urgent_request_does_not_stand_in_line_for_a_connection(clock: SteppedClock) -> None:
    transport = Slow()
    client = AsterClient("http://venue", clock=clock, transport=transport)
    reads = [asyncio.create_task(client.read("time", weight=1, into=lambda payload: payload)) for _ in range(100)]
    await transport.busy.wait()

    await client.write("POST", "order", {}, into=lambda payload: payload, urgent=True)

    assert transport.answered == ["/fapi/v3/order"]
    transport.let_go.set()
    await asyncio.gather(*reads)


class Slow(httpx.AsyncBaseTransport):
    """Answers reads when it is let go, and orders at once; knows when as many reads are under way as there will be."""

    def __init__(self) -> None:
        self.under_way = 0
        self.busy, self.let_go = asyncio.Event(), asyncio.Event()
        self.answered: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.under_way += 1
            if self.under_way == 30:
                self.busy.set()
            await self.let_go.wait()
        self.answered.append(request.url.path)
        return httpx.Response(200, json={})


async def test_what_is_too_much_for_one_request_may_do_for_a_smaller_one(shared: Shared, process: Process) -> None:
    await process.use(ORDINARY - 10)
    with pytest.raises(RateLimited):
        await process.use(40)

    await process.use(10)

    assert shared.account.used() == ORDINARY


async def test_an_order_is_refused_at_once_though_reads_wait_for_the_limit(venue: Any) -> None:
    venue.answer(TIME, (200, {}, {"X-MBX-USED-WEIGHT-1M": str(ORDINARY)}), {})
    client = venue.client(WALLET)
    await client.read("time", weight=1, into=lambda payload: payload)
    gate = asyncio.Event()

    async def sleep(_: float) -> None:
        await gate.wait()

    client._sleep = sleep
    reads = [asyncio.create_task(client.read("time", weight=1, into=lambda payload: payload)) for _ in range(50)]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited):
        await client.write("POST", "order", {}, into=lambda payload: payload)

    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)


async def test_a_refusal_that_comes_while_a_share_is_drawn_is_told_too(
    shared: Shared, process: Process, clock: SteppedClock
) -> None:
    drawing = asyncio.create_task(process.use(1))
    await asyncio.sleep(0)  # the share is on its way

    await asyncio.gather(process.budget.close(120, clock=clock), drawing)

    assert shared.account.closed_until == NOW + timedelta(seconds=120)
