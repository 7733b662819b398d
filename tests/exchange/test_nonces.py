"""A nonce is the exchange's time, grows, and is given out once: by any thread and process, and by a clock that errs."""

import random
import threading
from bisect import insort
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.errors import DatabaseUnavailable, VenueUnreachable
from shared.domain.nonce import LANE_SECONDS, LANES, first_nonce, microseconds
from shared.exchange.auth import NONCE_REACH, Nonces

NOW = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
LANE = timedelta(seconds=LANE_SECONDS)


class Lanes:
    """Gives out lanes in turn, as the database does, and can be away."""

    def __init__(self) -> None:
        self.holders: dict[int, str] = {}
        self.away = False
        self.asked = 0

    async def take(self, holder: str) -> int:
        self._ask()
        lane = len(self.holders)
        self.holders[lane] = holder
        return lane

    async def keep(self, lane: int, holder: str) -> bool:
        self._ask()
        return self.holders.get(lane) == holder

    async def leave(self, lane: int, holder: str) -> None:
        self._ask()
        self.holders[lane] = "nobody"

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable("no answer")


class Kept:
    """What the exchange keeps of one signer: a hundred nonces, and none below the smallest of them is taken."""

    def __init__(self) -> None:
        self._nonces: list[int] = []

    def use(self, nonce: int) -> None:
        assert nonce not in self._nonces
        if len(self._nonces) == 100:
            assert nonce > self._nonces[0]
            del self._nonces[0]
        insort(self._nonces, nonce)


async def a_process(lanes: Lanes, now: datetime = NOW) -> Nonces:
    nonces = Nonces()
    nonces.share(lanes)
    await nonces.ready(now)
    return nonces


@pytest.mark.parametrize("lane", [0, 1, 417, LANES - 1])
def test_the_first_nonce_of_a_lane_is_less_than_a_millisecond_away(lane: int) -> None:
    for present in (0, 1_750_000_000_000_000, 1_750_000_000_000_417, 1_750_000_000_000_999):
        nonce = first_nonce(lane, at_least=present)

        assert 0 <= nonce - present < LANES
        assert nonce % LANES == lane


def test_nonces_from_many_threads_strictly_increase() -> None:
    nonces = Nonces()
    taken: list[list[int]] = [[] for _ in range(10)]

    def take(mine: list[int]) -> None:
        mine.extend(nonces.take("signer", NOW) for _ in range(100))

    threads = [threading.Thread(target=take, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    everything = sorted(nonce for mine in taken for nonce in mine)
    first = microseconds(NOW)
    assert everything == [*range(first, first + 1000 * LANES, LANES)]
    assert all(mine == sorted(mine) for mine in taken)


async def test_processes_never_give_out_the_same_nonce_at_the_same_moment() -> None:
    lanes = Lanes()
    processes = [await a_process(lanes) for _ in range(20)]

    taken = [process.take("signer", NOW + n * SECOND / 10_000) for n in range(100) for process in processes]

    assert len(set(taken)) == len(taken)


async def test_a_later_nonce_of_another_process_is_smaller_by_no_more_than_their_clocks_differ() -> None:
    lanes = Lanes()
    ahead, behind = await a_process(lanes), await a_process(lanes)
    lag = timedelta(milliseconds=30)

    for n in range(100):
        moment = NOW + n * timedelta(milliseconds=10)
        first, later = ahead.take("signer", moment), behind.take("signer", moment - lag)
        assert first - later <= lag / timedelta(microseconds=1) + LANES


@pytest.mark.parametrize("back", [2, 30, 49])
def test_nonces_keep_increasing_when_the_clock_steps_back_a_little(back: int) -> None:
    nonces = Nonces()
    before = [nonces.take("signer", NOW + n * SECOND) for n in range(5)]

    after = [nonces.take("signer", NOW + (5 + n - back) * SECOND) for n in range(100)]

    assert before + after == sorted({*before, *after})


def test_nonces_of_a_clock_that_was_far_ahead_do_not_bind_the_corrected_one() -> None:
    nonces = Nonces()
    nonces.take("signer", NOW + HOUR)

    assert nonces.take("signer", NOW) == microseconds(NOW)


def test_no_nonce_is_given_out_twice_however_the_clock_jumps() -> None:
    nonces = Nonces()
    jumps = (0, 30, 3600, 1, 2, -7200, 40, 3601, 0, 59, -59, 3602, 31, 0.5)

    taken = [nonces.take("signer", NOW + (jump + n / 10) * SECOND) for jump in jumps for n in range(50)]

    assert len(set(taken)) == len(taken)


def test_a_jumping_clock_s_nonces_are_well_within_the_window_of_its_time() -> None:
    nonces = Nonces()
    for jump in (0, 3600, 0, 45, 0, 59.999, 0):
        now = NOW + jump * SECOND
        assert 0 <= nonces.take("signer", now) - microseconds(now) <= NONCE_REACH / timedelta(microseconds=1) + LANES


async def test_a_lane_is_asked_for_once_and_kept_when_it_is_half_over() -> None:
    lanes = Lanes()
    nonces = await a_process(lanes)

    for _ in range(100):
        await nonces.ready(NOW + LANE / 3)
    assert lanes.asked == 1

    await nonces.ready(NOW + LANE * 2 / 3)
    await nonces.ready(NOW + LANE)
    assert lanes.asked == 2
    assert nonces.take("signer", NOW + LANE) % LANES == 0


async def test_a_process_that_slept_through_its_lane_takes_another() -> None:
    lanes = Lanes()
    nonces = await a_process(lanes)

    await nonces.ready(NOW + LANE)

    assert nonces.take("signer", NOW + LANE) % LANES == 1


async def test_a_lane_that_was_lost_is_replaced() -> None:
    lanes = Lanes()
    nonces = await a_process(lanes)
    lanes.holders[0] = "another"

    await nonces.ready(NOW + LANE * 2 / 3)

    assert nonces.take("signer", NOW) % LANES == 1


async def test_a_database_that_is_away_stops_nobody_who_holds_a_lane_and_everybody_who_holds_none() -> None:
    lanes = Lanes()
    nonces = await a_process(lanes)
    lanes.away = True

    await nonces.ready(NOW + LANE * 0.99)
    with pytest.raises(VenueUnreachable, match="no nonce can be given out"):
        await nonces.ready(NOW + LANE)


async def test_a_process_that_ends_leaves_its_lane() -> None:
    lanes = Lanes()
    nonces = await a_process(lanes)

    await nonces.leave(lanes)
    await nonces.ready(NOW)

    assert lanes.holders == {0: "nobody"}
    assert lanes.asked == 2


@pytest.mark.parametrize("seed", range(5))
async def test_the_exchange_takes_the_nonces_of_four_processes_that_sign_for_one_account(seed: int) -> None:
    """Each is 20 ms wrong about the time, answers take up to a second, and bursts are of twenty requests at once."""
    dice, lanes, kept = random.Random(seed), Lanes(), Kept()
    processes = [(await a_process(lanes), dice.uniform(-0.02, 0.02)) for _ in range(4)]
    sent: list[tuple[datetime, int]] = []
    for seconds in sorted(dice.uniform(0, 60) for _ in range(100)):
        moment = NOW + seconds * SECOND
        nonces, error = dice.choice(processes)
        for _ in range(20):
            arrival = moment + dice.uniform(0, 1) * SECOND
            sent.append((arrival, nonces.take("signer", moment + error * SECOND)))

    for _, nonce in sorted(sent):
        kept.use(nonce)

    assert len({nonce for _, nonce in sent}) == len(sent) == 2000
