"""Accounts come, change and go while everything runs; what allows them more waits for its time or a second person."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from functions.configuring import Configured, add_account, change_account, remove_account
from functions.invoke import invoke_cycle
from functions.resuming import resume_account
from shared.db.alerts import AlertTable
from shared.domain.account import Account, AccountStatus
from shared.domain.authority import Change, ChangeState
from shared.domain.cycle import StageRequest, tick_at
from shared.domain.errors import AccountChanged, AccountExists, BadRequest, NotFlat, UnknownAccount
from shared.roster import approve, withdraw
from shared.settings import SettingsError
from tests.house import FIVE_MINUTES, House, built_house

DAY = timedelta(days=1)


@asynccontextmanager
async def slow_house(database_url: str, **settings: Any) -> AsyncIterator[House]:
    """A house in which what allows an account more waits for a day."""
    async with built_house(database_url, raise_delay=DAY, **settings) as house:
        yield house


async def add(house: House, account_id: str = "second", **said: Any) -> Configured:
    return await add_account(house.runtime, account_id, said, by="ann")


async def change(house: House, account_id: str = "main", *, version: int = 1, by: str = "ann", **said: Any) -> None:
    await change_account(house.runtime, account_id, said, version=version, by=by)


async def in_force(house: House, account_id: str = "main") -> Account:
    async with house.runtime.open_work() as work:
        return await work.accounts.get(account_id)


async def pending(house: House) -> list[Change]:
    async with house.runtime.open_work() as work:
        return list(await work.changes.pending())


async def say_yes(house: House, who: str) -> bool:
    [waiting] = await pending(house)
    async with house.runtime.open_work() as work:
        return await approve(work, waiting, who, house.clock.now(), house.runtime.settings)


async def cycle(house: House, account_id: str) -> dict[str, Any]:
    request = StageRequest(account_id, tick_at(house.clock.now(), FIVE_MINUTES))
    return await invoke_cycle(house.runtime, request)


async def events(house: House) -> list[str]:
    async with house.runtime.database.reading() as connection:
        return list((await connection.exec_driver_sql("SELECT kind FROM events ORDER BY id")).scalars())


async def test_an_account_that_is_added_runs_beside_the_others(house: House) -> None:
    await add(house, symbols=["ETHUSDT"], risk={"max_leverage": 2}, prompt="Be brief. $example")

    outcome = await cycle(house, "second")

    assert "error" not in outcome["reconcile"]
    account = await in_force(house, "second")
    assert (account.symbols, account.limits.max_leverage) == (("ETHUSDT",), 2)
    assert house.model.questions[-1]["messages"][0]["content"].startswith("Be brief.")


async def test_what_is_said_goes_before_the_configuration_and_null_takes_it_back(house: House) -> None:
    before = await in_force(house)
    await change(house, leverage=2, risk={"max_positions": 1})
    said = await in_force(house)
    await change(house, version=2, leverage=None)
    taken_back = await in_force(house)

    assert (said.leverage, said.limits.max_positions) == (2, 1)
    assert (taken_back.leverage, taken_back.limits.max_positions) == (before.leverage, 1)


async def test_what_was_said_survives_a_restart_and_reaches_every_other_process(
    house: House, database_url: str
) -> None:
    await add(house, symbols=["ETHUSDT"])
    await change(house, leverage=2)

    async with built_house(database_url) as other:
        assert other.runtime.accounts["main"].account.leverage == 2
        assert other.runtime.intervals.keys() == {"main", "second"}
        await change(house, "second", version=1, interval="15m")
        assert await other.runtime.follow_accounts()
        assert other.runtime.intervals["second"] == timedelta(minutes=15)
        assert not await other.runtime.follow_accounts()


async def test_of_two_people_who_change_the_same_version_the_second_is_told(house: House) -> None:
    await change(house, leverage=2)

    with pytest.raises(AccountChanged, match="version 2, not 1"):
        await change(house, leverage=1)

    assert (await in_force(house)).leverage == 2


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"symbols": ["NOSUCHUSDT"]}, "does not list NOSUCHUSDT"),
        ({"risk": {"max_leverages": 3}}, "risk.max_leverages: there is no such setting"),
        ({"risk": {"min_stop_distance": 0.5}}, "no stop can be right"),
        ({"interval": "soon"}, "interval: 'soon' is no duration"),
        ({"llm": {"tool_indicators": ["NOSUCH"]}}, "no TA-Lib function"),
        ({"prompt": "costs $5"}, "lone \\$"),
        ({"prompt_file": "/etc/passwd"}, "give the template itself"),
        ({"shadows": [{"model": "a/b", "prompt_file": "/etc/passwd"}]}, "give the template itself"),
        ({"llm": {"base_url": "https://elsewhere.example"}}, "in the configuration alone"),
        ({"exchange": {"private_key": "11" * 32}}, "a secret is named, never told"),
        ({"llm": {"api_key": "sk-or-told-by-mistake"}}, "a secret is named, never told"),
        ({"llm": {"api_key": "${DATABASE_URL}"}}, "a secret is named, never told"),
        ({"model": "${HOME}"}, "a variable may be named for a key only"),
        ({"exchange": {"private_key": "${NOT_SET_ANYWHERE}"}}, "which is not set"),
    ],
)
async def test_what_cannot_work_is_refused_in_one_line_and_nothing_is_stored(
    house: House, said: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        await add(house, **said)
    with pytest.raises(SettingsError, match=words):
        await change(house, **said)

    assert "\n" not in str(refused.value)
    assert "told-by-mistake" not in str(refused.value)
    assert house.runtime.accounts.keys() == {"main"}
    assert (await in_force(house)) == house.runtime.accounts["main"].account


async def test_all_that_cannot_work_is_told_at_once_with_a_line_each(house: House) -> None:
    with pytest.raises(SettingsError) as refused:
        await change(house, risk={"max_leverages": 3}, symbols=["BTCUSDT", "nosuchusdt"])

    first, second = str(refused.value).splitlines()
    assert first.endswith("risk.max_leverages: there is no such setting")
    assert second.endswith("does not list NOSUCHUSDT")


async def test_a_key_is_named_by_its_variable_and_stands_nowhere_but_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECOND_KEY", "77" * 32)

    await add(house, exchange={"private_key": "${SECOND_KEY}"})

    keys = house.runtime.accounts["second"].exchange_keys
    assert keys.private_key is not None
    assert keys.private_key.get_secret_value() == "77" * 32
    async with house.runtime.database.reading() as connection:
        for table in ("accounts", "events", "diary", "changes"):
            rows = await connection.exec_driver_sql(f"SELECT to_jsonb({table})::text FROM {table}")
            assert not [row for row in rows.scalars() if "77" * 32 in row]


async def test_two_accounts_with_one_key_are_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_KEY", "77" * 32)
    await add(house, exchange={"private_key": "${ONE_KEY}"})

    with pytest.raises(SettingsError, match="second and third have the same exchange key"):
        await add(house, "third", exchange={"private_key": "${ONE_KEY}"})


async def test_a_process_that_lacks_a_variable_says_so_and_goes_on_with_the_others(
    house: House, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SECOND_KEY", "77" * 32)
    await add(house, exchange={"private_key": "${SECOND_KEY}"})
    monkeypatch.delenv("SECOND_KEY")

    with caplog.at_level(logging.WARNING, "perpetua.app"):
        async with built_house(database_url) as other:
            assert other.runtime.accounts.keys() == {"main"}

    assert "account not followed here" in caplog.text


async def test_a_cycle_that_is_at_work_while_its_account_changes_comes_to_its_end(house: House) -> None:
    house.model.will_decide(await house.wish("BTCUSDT"))
    model = house.model.handle_async_request

    async def changed_meanwhile(request: Any) -> Any:
        if request.method != "GET":
            await change(house, symbols=["ETHUSDT"], model="other/model", interval="15m")
        return await model(request)

    house.runtime._http._transport.handle_async_request = changed_meanwhile  # type: ignore[method-assign]
    outcome = await house.cycle()

    assert [stage for stage, result in outcome.items() if isinstance(result, dict) and "error" in result] == []
    assert (await in_force(house)).symbols == ("ETHUSDT",)


async def test_an_account_is_removed_only_when_it_is_flat_and_its_history_stays(house: House) -> None:
    await house.enter("BTCUSDT")
    with pytest.raises(NotFlat, match=r"LONG .* BTCUSDT is held"):
        await remove_account(house.runtime, "main", by="ann")
    await house.pass_time()
    house.model.will_decide(await house.wish("BTCUSDT", "close"))
    await house.cycle()

    await remove_account(house.runtime, "main", by="ann")

    assert house.runtime.accounts == {}
    with pytest.raises(UnknownAccount):
        await house.cycle()
    async with house.runtime.database.reading() as connection:
        assert await AlertTable(connection).facts(house.clock.now()) == []  # and nobody misses its cycles
    async with house.runtime.database.reading() as connection:
        for table in ("orders", "fills", "equity", "decisions", "accounts"):
            assert (await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar()


async def test_a_removed_account_stays_removed_over_a_restart_until_it_is_added_again(
    house: House, database_url: str
) -> None:
    await remove_account(house.runtime, "main", by="ann")
    async with built_house(database_url) as restarted:
        assert restarted.runtime.accounts == {}
        await add(restarted, "main")
        assert restarted.runtime.accounts.keys() == {"main"}
        assert "error" not in (await restarted.cycle())["reconcile"]


async def test_an_id_is_given_once(house: House) -> None:
    with pytest.raises(AccountExists):
        await add(house, "main")


async def test_an_account_that_is_new_to_a_mode_opens_nothing_until_its_time_has_come(database_url: str) -> None:
    async with slow_house(database_url) as house:
        house.model.will_decide(await house.wish("BTCUSDT"))
        outcome = await house.cycle()
        waiting = await pending(house)
        paused = await in_force(house)
        await house.pass_time(DAY)
        await house.runtime.follow_accounts()
        house.model.answers.clear()
        house.model.will_decide(await house.wish("BTCUSDT"))
        await house.cycle()

        assert outcome["decide"]["decisions"][0]["code"] == "account_active"
        assert [(each.account_id, each.raises) for each in waiting] == [("main", ("trade paper",))]
        assert paused.status is AccountStatus.PAUSED
        assert (await in_force(house)).status is AccountStatus.ACTIVE
        assert "BTCUSDT" in await house.venue_positions()


async def trading(house: House) -> Account:
    """Let the account have its authority."""
    assert not await say_yes(house, "ann")
    assert await say_yes(house, "bob")
    await house.runtime.follow_accounts()
    return await in_force(house)


async def test_two_people_are_as_good_as_time_and_one_is_not_whoever_proposed(database_url: str) -> None:
    """The configuration is nobody, so two more are needed; a person who proposes is one of the two."""
    async with slow_house(database_url) as house:
        account = await trading(house)
        await change(house, risk={"max_leverage": 20}, by="ann")
        assert not await say_yes(house, "ann")
        waits = (await in_force(house)).limits.max_leverage
        assert await say_yes(house, "bob")

        assert account.authority_until == house.clock.now() + 30 * DAY
        assert waits == 5
        assert (await in_force(house)).limits.max_leverage == 20
        assert (await in_force(house)).authority_until == account.authority_until


async def test_lowering_is_in_force_at_once_and_raising_it_again_waits(database_url: str) -> None:
    async with slow_house(database_url) as house:
        await trading(house)
        await change(house, risk={"max_leverage": 2})
        lowered = (await in_force(house)).limits.max_leverage
        await change(house, version=2, risk={"max_leverage": None})

        assert lowered == 2
        assert (await in_force(house)).limits.max_leverage == 2
        assert [each.raises for each in await pending(house)] == [("risk.max_leverage: 2 to 5",)]


async def test_a_restart_with_another_configuration_is_no_way_around(database_url: str) -> None:
    async with slow_house(database_url) as house:
        until = (await trading(house)).authority_until
    for _ in range(2):
        async with slow_house(database_url, risk_max_leverage=50, risk_max_positions=1) as restarted:
            account = await in_force(restarted)
            [waiting] = await pending(restarted)

    assert (account.limits.max_leverage, account.limits.max_positions) == (5, 1)
    assert account.authority_until == until
    assert (waiting.raises, waiting.proposed_by) == (("risk.max_leverage: 5 to 50",), "the configuration")
    async with slow_house(database_url, risk_max_positions=1) as back:
        assert await pending(back) == []


async def test_what_waits_keeps_its_time_when_it_is_made_less_and_starts_anew_when_it_is_made_more(
    database_url: str,
) -> None:
    async with slow_house(database_url) as house:
        await trading(house)
        await change(house, risk={"max_leverage": 20})
        [first] = await pending(house)
        await house.pass_time(timedelta(hours=23))
        await change(house, version=2, risk={"max_leverage": 10})
        [less] = await pending(house)
        await change(house, version=3, risk={"max_leverage": 30})
        [more] = await pending(house)

        assert (less.id, less.due_at) == (first.id, first.due_at)
        assert more.id != first.id
        assert more.due_at == house.clock.now() + DAY


async def test_an_account_that_waits_to_be_added_does_not_grow_meanwhile(database_url: str) -> None:
    async with slow_house(database_url) as house:
        [first] = await pending(house)
        await house.pass_time(timedelta(hours=23))
        await change(house, risk={"max_leverage": 100})
        [bigger] = await pending(house)

        assert bigger.due_at - first.due_at >= timedelta(hours=23)


async def test_what_is_withdrawn_never_comes_into_force(database_url: str) -> None:
    async with slow_house(database_url) as house:
        await trading(house)
        await change(house, risk={"max_leverage": 20})
        [waiting] = await pending(house)
        async with house.runtime.open_work() as work:
            await withdraw(work, waiting, "bob", house.clock.now())
        await house.pass_time(2 * DAY)
        await house.runtime.follow_accounts()

        assert (await in_force(house)).limits.max_leverage == 5
        async with house.runtime.open_work() as work:
            found = await work.changes.get(waiting.id)
        assert found is not None
        assert found.state is ChangeState.WITHDRAWN


async def test_an_account_whose_authority_ends_manages_what_is_open_and_says_so(database_url: str) -> None:
    async with slow_house(database_url, authority_lasts=timedelta(hours=1)) as house:
        await trading(house)
        await house.enter("BTCUSDT")
        await house.pass_time(timedelta(hours=1))
        house.model.will_decide(await house.wish("ETHUSDT"))
        await house.cycle()
        account, reason = await in_force(house), ""
        async with house.runtime.open_work() as work:
            reason = await work.accounts.reason("main")
        after = await house.next_cycle()

        assert account.status is AccountStatus.PAUSED
        assert reason.startswith("no authority since")
        assert "authority_ended" in await events(house)
        assert after.keys() == {"account", "tick", "reconcile"}
        assert "ETHUSDT" not in await house.venue_positions()
        held = await house.venue_positions()
        assert len(await house.venue_orders(type="STOP_MARKET", status="NEW")) == len(held)


async def test_a_mode_that_an_account_was_not_added_for_gives_it_no_authority(database_url: str) -> None:
    async with built_house(database_url) as house:
        await house.enter("BTCUSDT")
    async with slow_house(database_url) as house:
        assert [each.raises for each in await pending(house)] == [("trade paper",)]


async def test_nobody_resumes_an_account_without_authority(database_url: str) -> None:
    async with slow_house(database_url) as house:
        await house.cycle()
        with pytest.raises(BadRequest, match="no authority"):
            async with house.runtime.open_work() as work:
                await resume_account(work, "main", house.clock.now(), "by hand")
