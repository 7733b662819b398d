"""Any decision can be made again offline, with the same outcome to the last byte; what was changed since is told."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from functions.replaying import load, rereview, rerun
from shared.domain.cycle import StageRequest
from shared.domain.errors import RecordBroken, UnknownRecord
from shared.domain.record import DecisionRecord, RecordId
from shared.llm.prompt import briefed
from shared.llm.reply import read
from tests.house import House


async def recorded(house: House, request: StageRequest | None = None) -> DecisionRecord:
    cycle = request or house.request
    return await load(house.runtime.open_work, RecordId(account_id=cycle.account_id, tick=cycle.tick))


async def change(house: House, statement: str, **values: Any) -> int:
    async with house.runtime.database.transaction() as connection:
        return (await connection.execute(text(statement), values)).rowcount


async def test_a_decision_made_again_is_the_same(house: House) -> None:
    house.model.will_decide(await house.wish(), await house.wish("ETHUSDT", "sell", allocation_usd=10**9))
    outcome = await house.cycle()

    again = await rerun(await recorded(house), open_work=house.runtime.open_work, read=read)

    assert (again.same, again.differences, again.code, again.candles) == (True, (), (), ())
    assert again.name == outcome["decide"]["record"]
    assert [each.review.verdict for each in again.record.judgement.reviewed] == ["approved", "clipped"]


async def test_a_record_holds_the_question_the_reply_and_all_that_the_review_rested_on(house: House) -> None:
    await house.enter()
    await house.next_cycle()

    record = await recorded(house)

    [call] = record.calls
    sent = house.model.questions[-1]["messages"]
    assert record.prompt is not None
    assert call.prompt.messages == sent
    assert (call.prompt.version, str(call.cost)) == (record.prompt.version, "0.0012")
    assert "$max_leverage" in record.prompt.text
    assert call.raw["choices"][0]["message"]["content"] == call.content
    assert [held.symbol for held in record.context.holdings.positions] == ["BTCUSDT"]
    assert record.context.last_entries.keys() == {"BTCUSDT"}
    assert [(each.symbol, each.plan.text) for each in record.plans] == [("BTCUSDT", "leave when wrong")]
    assert record.context.account.limits.max_leverage == 5
    assert record.snapshot.candles["BTCUSDT"]["4h"].count == 300


@pytest.mark.parametrize("answer", ["I would rather not say.", "", 401, '{"decisions": [{"asset": "\\ud800"}]}'])
async def test_a_decision_without_a_usable_answer_is_on_record_too(house: House, answer: str | int) -> None:
    house.model.answers += 9 * [answer]
    await house.cycle()

    again = await rerun(await recorded(house), open_work=house.runtime.open_work, read=read)

    assert again.same
    assert again.record.judgement.reviewed == ()


async def test_what_decisions_share_is_kept_once(house: House) -> None:
    await house.cycle()
    async with house.runtime.open_work() as work:
        _, first = await work.records.find(RecordId(account_id="main", tick=house.request.tick))
    await house.next_cycle()
    async with house.runtime.open_work() as work:
        _, second = await work.records.find(RecordId(account_id="main", tick=house.request.tick))

    shared = {name: body for name, body in first.documents.items() if name in second.documents}
    async with house.runtime.database.reading() as connection:
        kept = await connection.scalar(text("SELECT count(*) FROM documents"))
    assert kept == len(first.documents.keys() | second.documents.keys())
    assert any('"tick_size"' in body for body in shared.values())
    assert any("You trade perpetual futures" in body for body in shared.values())
    assert any('"risk_per_trade"' in body for body in shared.values())


async def test_one_changed_byte_of_any_document_is_told_by_its_place(house: House) -> None:
    await house.enter()
    async with house.runtime.open_work() as work:
        _, stored = await work.records.find(RecordId(account_id="main", tick=house.request.tick))
        name = next(name for name, body in stored.documents.items() if body.startswith('"{\\"reasoning\\"'))
    changed = "UPDATE documents SET body = overlay(body PLACING 'X' FROM 20 FOR 1) WHERE name = :name"

    assert await change(house, changed, name=name) == 1
    with pytest.raises(RecordBroken, match=r"calls\.0\.content was changed$"):
        await recorded(house)

    await change(house, "DELETE FROM documents WHERE name = :name", name=name)
    with pytest.raises(RecordBroken, match=r"calls\.0\.content is missing$"):
        await recorded(house)

    await change(house, changed, name=stored.name)
    with pytest.raises(RecordBroken, match=r"the manifest was changed$"):
        await recorded(house)


async def test_the_record_of_another_decision_is_not_taken_for_this_one(house: House) -> None:
    await house.cycle()
    first = house.request
    await house.next_cycle()
    await change(
        house,
        "UPDATE records SET manifest = (SELECT manifest FROM records WHERE tick = :tick)",
        tick=first.tick,
    )

    with pytest.raises(RecordBroken, match=f"the manifest is that of main@{first.tick:%Y-%m-%d}"):
        await recorded(house)


async def test_a_verdict_that_was_acted_upon_but_never_came_of_the_review_is_told(house: House) -> None:
    await house.enter()
    forged = "UPDATE decisions SET review = jsonb_set(review, '{quantity}', '\"99\"')"
    await change(house, forged)

    again = await rerun(await recorded(house), open_work=house.runtime.open_work, read=read)

    assert len(again.differences) == 1
    assert again.differences[0].startswith("acted upon: 0.review.quantity: ")
    assert again.differences[0].endswith('→ "99"')


async def test_candles_corrected_since_are_told_and_change_nothing(house: House) -> None:
    await house.cycle()
    tick = house.request.tick
    await change(house, "UPDATE candles SET high = high + 1 WHERE symbol = 'ETHUSDT' AND timeframe = '5m'")
    await change(
        house, "DELETE FROM candles WHERE symbol = 'BTCUSDT' AND timeframe = '4h' AND opened < :tick", tick=tick
    )

    again = await rerun(await recorded(house), open_work=house.runtime.open_work, read=read)

    assert again.same
    assert sorted(again.candles) == ["BTCUSDT 4h: 0 of 300 are still kept", "ETHUSDT 5m: corrected since"]


async def test_other_limits_show_what_they_would_have_changed(house: House) -> None:
    house.model.will_decide(await house.wish(), await house.wish("ETHUSDT"))
    await house.cycle()
    record = await recorded(house)
    limits = replace(record.context.account.limits, max_positions=1, max_position_fraction=Decimal("0.05"))

    told = rereview(record, limits, read=read).as_json()

    assert told["before"]["limits"] == "max_position_fraction=0.5, max_positions=3"
    assert told["after"]["limits"] == "max_position_fraction=0.05, max_positions=1"
    assert told["changed"] == ["BTCUSDT", "ETHUSDT"]
    assert [each["verdict"] for each in told["before"]["decisions"]] == ["approved", "approved"]
    assert [(each["verdict"], each["code"]) for each in told["after"]["decisions"]] == [
        ("clipped", None),
        ("refused", "max_positions"),
    ]


async def test_a_decision_is_found_by_the_beginning_of_its_records_name(house: House) -> None:
    outcome = await house.cycle()
    name = outcome["decide"]["record"]
    async with house.runtime.open_work() as work:
        assert (await work.records.get(RecordId(prefix=name[:8]))).tick == house.request.tick
        with pytest.raises(UnknownRecord, match="there is no decision on record whose name begins with "):
            await work.records.get(RecordId(prefix="ffffff" if name[0] != "f" else "000000"))


async def test_what_the_account_has_paid_is_told_to_the_model_and_on_record(house: House) -> None:
    await house.enter()
    await house.next_cycle()

    [call] = (await recorded(house)).calls
    paid = briefed(call.prompt)["paid"]
    [fill] = (await house.venue_books())["trades"]
    assert paid["today"] == paid["in_all"]
    assert Decimal(paid["today"]["fees_usd"]) - Decimal(fill["commission"]) < Decimal("0.0001")
    assert (paid["today"]["funding_usd"], paid["today"]["models_usd"]) == ("0.0000", "0.0012")
    assert "`paid`" in call.prompt.system
