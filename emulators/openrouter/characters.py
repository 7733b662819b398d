"""
How each emulated model writes its answer: the well-behaved ones as asked, the others each with one bad habit.

Whatever is well formed in a bad answer is the rule follower's, so that a repaired answer can be told from an
invented one.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from emulators.openrouter.decisions import decide, idle, opening
from emulators.openrouter.filling import Filler
from emulators.openrouter.prompt import Chart
from emulators.openrouter.reply import CHARACTERS_PER_TOKEN, Reply
from emulators.openrouter.traders import RULE_FOLLOWER, Trader
from emulators.openrouter.turn import Turn
from emulators.openrouter.wire import Json, dumps

Character = Callable[[Turn], Reply]
"""Answers when it is its turn; only the well-behaved honour the schema."""

PROSE = "The market breathes in, the market breathes out, and somewhere in between lies a trade. "
PROSE_CHARACTERS = 10_000_000
EFFORTS = {"none": 0, "minimal": 10, "low": 20, "medium": 50, "high": 80, "xhigh": 95, "max": 95}
"""Share of `max_tokens` spent on thinking, in percent."""
USUAL_BUDGET = 2000
"""Tokens a reasoner has for everything when nobody tells it."""


def well_behaved(trader: Trader) -> Character:
    return lambda turn: turn.answer(decide(turn.prompt, trader))


def _rule_followers_answer(turn: Turn) -> str:
    return dumps(decide(turn.prompt, RULE_FOLLOWER))


def fenced(turn: Turn) -> Reply:
    answer = _rule_followers_answer(turn)
    return Reply(content=f"Here is my plan:\n\n```json\n{answer}\n```\n\nLet me know if you want anything changed!")


def thinker(turn: Turn) -> Reply:
    thought = 'Should I answer {"decisions": []} and wait? No: {each asset} deserves a look.'
    return Reply(content=f"<think>\n{thought}\n</think>\n{_rule_followers_answer(turn)}")


def truncated(turn: Turn) -> Reply:
    answer = _rule_followers_answer(turn)
    return Reply(content=answer[: len(answer) * 2 // 3], finish_reason="length")


def refuser(_turn: Turn) -> Reply:
    return Reply(
        content=None,
        finish_reason="content_filter",
        refusal="I'm sorry, but I can't make trading decisions or give financial advice.",
    )


def hallucinator(turn: Turn) -> Reply:
    """Opens everything it sees with the stop on the wrong side and a leverage of 1000, and a coin nobody listed."""
    answer = decide(turn.prompt, RULE_FOLLOWER)
    opens = [_fantasy(chart.asset, chart.mark_price) for chart in turn.prompt.charts if chart.mark_price is not None]
    closes = [decision for decision in answer["decisions"] if decision["action"] == "close"]
    closing = {decision["asset"] for decision in closes}
    fantasies = [decision for decision in opens if decision["asset"] not in closing]
    return Reply(content=dumps(answer | {"decisions": [*closes, *fantasies, _fantasy("MOONUSDT", Decimal("0.042"))]}))


def _fantasy(asset: str, mark_price: Decimal) -> Json:
    return idle(asset, "buy", "It can only go up.") | {
        "allocation_usd": 1_000_000,
        "leverage": 1000,
        "stop_loss": mark_price * Decimal("1.05"),
        "take_profit": mark_price * Decimal("0.95"),
        "confidence": Decimal("0.99"),
    }


def numbers_as_strings(turn: Turn) -> Reply:
    return Reply(content=dumps(_quoted(decide(turn.prompt, RULE_FOLLOWER))))


def _quoted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return format(value, "f") if isinstance(value, Decimal) else str(value) if isinstance(value, int) else value


def not_json(turn: Turn) -> Reply:
    lines = [f"I would {item['action']} {item['asset']}." for item in decide(turn.prompt, RULE_FOLLOWER)["decisions"]]
    return Reply(content="\n".join(["This market calls for patience.", *lines]))


def empty(_turn: Turn) -> Reply:
    """Thinks until its tokens are gone and says nothing."""
    return Reply(content=None, finish_reason="length", reasoning="Let me look at every candle in turn. " * 40)


def cold(_turn: Turn) -> Reply:
    """A cold start: no word, no reason, and so no charge."""
    return Reply(content="", finish_reason=None)


def one_bad_item(turn: Turn) -> Reply:
    """Closes and holds as the rule follower does; its one open has lost its asset, its size and its stop."""
    answer = decide(turn.prompt, RULE_FOLLOWER)
    sound = [
        decision if decision["action"] == "close" else idle(decision["asset"], "hold", decision["rationale"])
        for decision in answer["decisions"]
    ]
    broken = {"rationale": "A sure thing.", "action": "buy", "allocation_usd": "a lot", "leverage": "very high"}
    return Reply(content=dumps(answer | {"decisions": [*sound, broken]}))


def echo(turn: Turn) -> Reply:
    """Says back what it was told, word for word."""
    return Reply(content="\n".join(each.text for each in turn.question.messages))


def novelist(_turn: Turn) -> Reply:
    return Reply(content=PROSE * (PROSE_CHARACTERS // len(PROSE) + 1))


def surrogates(turn: Turn) -> Reply:
    """Writes half of a pair of surrogates into every sentence, which no UTF-8 can carry."""
    answer = decide(turn.prompt, RULE_FOLLOWER)
    for decision in answer["decisions"]:
        decision["rationale"] += " To the moon \ud83d"
        decision["exit_plan"]["text"] += "\ude80"
    return Reply(content=dumps(answer))


def fabulist(turn: Turn) -> Reply:
    """Opens soundly, and gives reasons full of prices that stand nowhere in its prompt."""
    answer = opening(turn.prompt, "buy", "A clear case.")
    for decision, chart in zip(answer["decisions"], _charts_of(answer, turn), strict=True):
        if chart.mark_price is None:
            continue
        support, high = (_invented(chart.mark_price, factor) for factor in ("0.9137", "1.2291"))
        decision["rationale"] = f"Support at {support} has held three times; last week's high of {high} is next."
        if decision["action"] == "buy":
            decision["exit_plan"]["text"] = f"Out below the trend line, now at {support}."
    return turn.answer(answer)


def _invented(mark: Decimal, factor: str) -> Decimal:
    """A price of six digits whose last one is odd, so that no round multiple of the real one is hit."""
    value = mark * Decimal(factor)
    step = Decimal(1).scaleb(value.adjusted() - 5)
    rounded = value.quantize(step)
    return rounded if rounded / step % 2 else rounded + step


def _charts_of(answer: Json, turn: Turn) -> list[Chart]:
    by_asset = {chart.asset: chart for chart in turn.prompt.charts}
    return [by_asset[decision["asset"]] for decision in answer["decisions"]]


def flipper(turn: Turn) -> Reply:
    """Takes the other side of its last decision on every asset, every time it is asked."""
    made = []
    for chart in turn.prompt.charts:
        held = turn.prompt.holdings.get(chart.asset)
        before = turn.prompt.last_actions.get(chart.asset) or ("buy" if held and held.side == "LONG" else "sell")
        action = "sell" if before == "buy" else "buy"
        alone = replace(turn.prompt, charts=[chart], holdings={})
        made += opening(alone, action, "The other side looks better after all.")["decisions"]
    return turn.answer({"reasoning": "I have changed my mind.", "decisions": made})


def gambler(turn: Turn) -> Reply:
    """Any valid decision, by dice that fall the same for the same question."""
    made = []
    for chart in turn.prompt.charts:
        held = chart.asset in turn.prompt.holdings
        action = turn.dice.choice(("hold", "close") if held else ("hold", "buy", "sell"))
        alone = replace(turn.prompt, charts=[chart])
        if action in {"hold", "close"}:
            made.append(idle(chart.asset, action, "The dice said so."))
        else:
            made += opening(alone, action, "The dice said so.")["decisions"]
    return turn.answer({"reasoning": "Rolled the dice.", "decisions": made})


def planner(turn: Turn) -> Reply:
    """
    Opens every asset with an exit plan that has every machine-checkable end the schema of the request has room for.

    Where the schema knows several ways to say such an end, assets take turns. Without a schema it knows the candle
    close alone.
    """
    made = []
    ends = _ends_of(turn.question.schema)
    for index, chart in enumerate(turn.prompt.charts):
        alone = replace(turn.prompt, charts=[chart])
        [decision] = opening(alone, "buy" if index % 2 == 0 else "sell", "A trade with a plan.")["decisions"]
        plan = decision["exit_plan"]
        if known := plan["invalidation"]:
            filler = Filler(
                prompt=turn.prompt, turn=index, asset=chart.asset, price=known["price"], condition=known["condition"]
            )
            plan |= {name: filler.fill(part, name) for name, part in ends.items()}
        made.append(decision)
    return turn.answer({"reasoning": "Every trade has its end written down.", "decisions": made})


def _ends_of(schema: object) -> Json:
    """What an `exit_plan` holds beside its text, wherever in *schema* that is described."""
    if isinstance(schema, dict):
        plan = schema.get("exit_plan")
        if isinstance(plan, dict):
            return {name: part for name, part in plan.get("properties", {}).items() if name != "text"}
        return next((found for each in schema.values() if (found := _ends_of(each))), {})
    if isinstance(schema, list):
        return next((found for each in schema if (found := _ends_of(each))), {})
    return {}


def reasoner(turn: Turn) -> Reply:
    """Thinks as much as it is told to before it answers: its thoughts are billed, and count against `max_tokens`."""
    wanted, limit = turn.question.reasoning, turn.question.max_tokens or USUAL_BUDGET
    share = EFFORTS[wanted.effort or "medium"]
    thoughts = wanted.max_tokens if wanted.max_tokens is not None else limit * share // 100
    sound = turn.answer(decide(turn.prompt, RULE_FOLLOWER))
    if not thoughts:
        return sound
    length = thoughts * CHARACTERS_PER_TOKEN
    thought = ("Let me look at every candle in turn. " * (length // 37 + 1))[:length]
    return replace(sound, reasoning=thought, hides_reasoning=wanted.exclude)
