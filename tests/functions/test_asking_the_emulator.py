"""From a candle's close to an order, with a model behind a real socket that looks things up first."""

import json
from typing import Any

import httpx

from emulators.openrouter import create_app
from tests.house import ScriptedModel, built_house
from tests.served import served


class RealModel(ScriptedModel):
    """The wire, and nothing in between."""

    def __init__(self) -> None:
        super().__init__()
        self._wire = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._wire.handle_async_request(request)

    async def aclose(self) -> None:
        await self._wire.aclose()


async def test_a_cycle_pays_for_its_tools_and_the_day_s_books_agree_with_the_service_s(database_url: str) -> None:
    async with served(create_app(seed=7)) as url:
        settings: dict[str, Any] = {"openrouter_base_url": f"{url}/api/v1", "llm_model": "emulated/analyst"}
        async with built_house(database_url, model=RealModel(), **settings) as house:
            outcome = await house.cycle()
            async with house.runtime.open_work() as work:
                calls = await work.model_calls.of_cycle(house.request)
            async with house.runtime.database.reading() as connection:
                [row] = (await connection.exec_driver_sql("SELECT reserved, spent FROM model_spending")).all()
        async with httpx.AsyncClient() as http:
            key = (await http.get(f"{url}/api/v1/key", headers={"Authorization": "Bearer paper"})).json()["data"]

    answers = [json.loads(each["content"]) for each in calls[-1].prompt.turns if each["role"] == "tool"]
    assert outcome["decide"]["no_answer"] is None
    assert outcome["decide"]["tool_turns"] == 2
    assert len(answers) == 4
    assert not any("error" in answer for answer in answers)
    assert (row.reserved, float(row.spent)) == (0, key["usage"])
