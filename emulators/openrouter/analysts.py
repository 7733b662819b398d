"""
Models that call tools, whatever the tools are: they read the schemas of what is offered and fill in the arguments.

Each is asked again after every round and tells from the conversation how far it is; it keeps no memory.
"""

from collections.abc import Callable
from dataclasses import replace

from emulators.openrouter.decisions import decide
from emulators.openrouter.filling import Filler, arguments
from emulators.openrouter.reply import Reply
from emulators.openrouter.traders import RULE_FOLLOWER
from emulators.openrouter.turn import Turn
from emulators.openrouter.wire import dumps

ROUNDS = 3
UNKNOWN_TOOL = "get_insider_news"


def analyst(turn: Turn) -> Reply:
    """Looks at something else in each of three rounds, two things at a time where it may, and then decides."""
    if turn.must_call() or (turn.tools and len(turn.rounds) < ROUNDS):
        return turn.calls(_wishes(turn, 2))
    return _verdict(turn)


def single_caller(turn: Turn) -> Reply:
    """Calls every tool once, one in a round, with a word on each, and then decides."""
    if turn.must_call() or len(turn.rounds) < len(turn.tools):
        return turn.calls(_wishes(turn, 1), content="One more thing to look at.")
    return _verdict(turn)


def insatiable(turn: Turn) -> Reply:
    """Never has enough: asks for more as long as there is a tool to ask."""
    return turn.calls(_wishes(turn, 2)) if turn.tools else _verdict(turn)


def tireless(turn: Turn) -> Reply:
    """Asks for more even when it is offered no tool any more, or told to call none."""
    wishes = _wishes(turn, 1) or [("get_candles", {"symbol": "BTCUSDT", "timeframe": "1m"})]
    return turn.calls(wishes)


def clumsy_caller(turn: Turn) -> Reply:
    """Gets every round of arguments wrong in another way, then one right, and then decides."""
    wrongs: list[Callable[[str], str]] = [
        lambda right: right[: len(right) // 2 + 1],  # cut off
        lambda _right: '{"indicator": "cosmic_ray", "asset": "MOONUSDT", "timeframe": "7m", "length": -1e999}',
        lambda right: f"[{right}]",  # no object
        lambda _right: "",
        lambda right: f"```json\n{right}\n```",
        lambda right: right,
    ]
    done = len(turn.rounds)
    if not turn.tools or (done >= len(wrongs) and not turn.must_call()):
        return _verdict(turn)
    [(name, right)] = _wishes(turn, 1)
    return turn.calls([(name, wrongs[done % len(wrongs)](dumps(right)))])


def tool_inventor(turn: Turn) -> Reply:
    """Calls a tool nobody offered, twice, and then decides."""
    if len(turn.rounds) < 2:
        return turn.calls([(UNKNOWN_TOOL, {"asset": "BTCUSDT"})])
    return _verdict(turn)


def same_id_caller(turn: Turn) -> Reply:
    """Calls two tools at once and gives both calls the same id, then decides."""
    if not turn.tools or turn.rounds:
        return _verdict(turn)
    asked = turn.calls(_wishes(turn, 2))
    return replace(asked, tool_calls=tuple(replace(call, id="call_1") for call in asked.tool_calls))


def thinking_analyst(turn: Turn) -> Reply:
    """An analyst who thinks before each step and must be shown its thoughts again: see `Model.needs_its_thoughts`."""
    return replace(analyst(turn), reasoning=f"Step {len(turn.rounds) + 1}: what do I still need to know?")


def _wishes(turn: Turn, count: int) -> list[tuple[str, object]]:
    """The next *count* calls, all different, going round the tools; only of the one that is forced, if one is."""
    forced = turn.question.forced_tool
    tools = [tool for tool in turn.tools if forced in (None, tool.name)]
    done = sum(len(each.tool_calls) for each in turn.rounds)
    wishes: list[tuple[str, object]] = []
    for number in range(done, done + count if tools else done):
        tool = tools[number % len(tools)]
        # Once round all tools, the next round asks them for something else.
        filler = Filler(prompt=turn.prompt, turn=number // len(tools))
        wishes.append((tool.name, arguments(tool.parameters, filler)))
    return wishes


def _verdict(turn: Turn) -> Reply:
    answer = decide(turn.prompt, RULE_FOLLOWER)
    if turn.results:
        answer["reasoning"] += f" Read {len(turn.results)} tool results."
    return turn.answer(answer)
