"""Whatever is decided, on whatever market: every decision on record is the same when it is made again."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from functions.replaying import load, rerun
from shared.db import migrate
from shared.domain.errors import RecordBroken
from shared.domain.record import RecordId
from shared.llm.reply import read
from tests.functions.test_any_decisions import CYCLES, LOOSE, Wish, decision
from tests.house import House, built_house

SAID = st.sampled_from(["decisions", "decisions", "decisions", "prose", "broken", "silence"])


async def say(house: House, wishes: list[Wish], how: str) -> None:
    """Put the model's next words into its mouth: sound decisions, more or less well spoken, or none."""
    house.model.will_decide(*[await decision(house, wish) for wish in wishes])
    spoken = str(house.model.answers.pop())
    words: dict[str, Any] = {
        "decisions": [spoken],
        "prose": [f"Let me think.\n```json\n{spoken}\n```\nThat is all."],
        "broken": [spoken[:-20]],
        "silence": 9 * [401],
    }
    house.model.answers = words[how]


async def one_byte_changed(house: House, chance: random.Random) -> None:
    """Change one byte of one document, whichever, and see that its decision is no longer taken for sound."""
    async with house.runtime.database.transaction() as connection:
        manifests = list(await connection.scalars(text("SELECT manifest FROM records ORDER BY tick")))
    async with house.runtime.open_work() as work:
        wanted = RecordId(prefix=chance.choice(manifests))
        _, stored = await work.records.find(wanted)
    name, body = chance.choice(sorted(stored.documents.items()))
    where = chance.randrange(len(body))
    changed = body[:where] + chr(ord(body[where]) ^ 1) + body[where + 1 :]
    put = text("UPDATE documents SET body = :body WHERE name = :name")
    async with house.runtime.database.transaction() as connection:
        await connection.execute(put, {"name": name, "body": changed})
    with pytest.raises(RecordBroken, match="was changed"):
        await load(house.runtime.open_work, wanted)
    async with house.runtime.database.transaction() as connection:
        await connection.execute(put, {"name": name, "body": body})


@given(seed=st.integers(0, 10**6), cycles=CYCLES, said=st.lists(SAID, min_size=8, max_size=8))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_decision_on_record_is_the_same_when_it_is_made_again(
    database_url: str, seed: int, cycles: list[tuple[list[Wish], int]], said: list[str]
) -> None:
    async def trade() -> None:
        await migrate.downgrade(database_url, "base")
        await migrate.upgrade(database_url)
        async with built_house(database_url, seed=seed, **LOOSE) as house:
            ticks = []
            for (wishes, minutes), how in zip(cycles, said, strict=False):
                await house.pass_time(timedelta(minutes=minutes))
                await say(house, wishes, how)
                await house.cycle()
                ticks.append(house.request.tick)
            open_work = house.runtime.open_work
            for tick in ticks:
                again = await rerun(
                    await load(open_work, RecordId(account_id="main", tick=tick)), open_work=open_work, read=read
                )
                assert again.differences == ()
                for each in again.record.judgement.reviewed or (None,):
                    event(str(each and (each.review.move or each.review.code)))
            await one_byte_changed(house, random.Random(seed))

    asyncio.run(trade())
