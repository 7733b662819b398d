"""Decisions at the command line: made again, asked anew, reviewed under other limits, previewed, compared, pruned."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from functions.forgetting import forget
from functions.previewing import preview
from functions.replaying import Comparison, Rerun, Side, load, reask, rereview, rerun
from shared.accounts import changed_limits
from shared.domain.errors import BadRequest, RecordBroken
from shared.domain.opinion import ModelScore
from shared.domain.record import DecisionRecord, record_id
from shared.llm.prompt import PromptTemplate
from shared.llm.reply import read
from shared.runtime import Runtime
from shared.settings import Settings


def add_commands(commands: Any) -> None:
    """Add the commands to a parser's *commands*."""
    replay = commands.add_parser(
        "replay-decision",
        help="make a recorded decision again",
        description="Make a recorded decision again, offline: says 'same', or what came out otherwise.",
    )
    replay.add_argument("id", help="account@tick, such as main@2025-05-06T16:05:00Z, or the first digits of its record")
    replay.add_argument("--model", help="ask this model instead; costs money")
    replay.add_argument("--prompt", type=Path, metavar="FILE", help="ask in the words of this template instead")
    replay.add_argument(
        "--limits",
        nargs="+",
        metavar="FILE|NAME=VALUE",
        help="review under other limits: a file with what stands under `risk` of an account, or max_leverage=2 …",
    )
    show = commands.add_parser(
        "preview-prompt",
        help="show what the model would be asked",
        description="Show the exact messages, about how many tokens they are, and the most they cost. Asks no model.",
    )
    show.add_argument("--account", required=True, help="the account's id")
    show.add_argument("--tick", help="of which snapshot, such as 2025-05-06T16:05Z (default: the newest)")
    show.add_argument("--prompt", type=Path, metavar="FILE", help="in the words of this template")
    commands.add_parser(
        "prune-records",
        help="take away old decisions",
        description="Take away decisions, their records and model calls that are older than RECORD_RETENTION.",
    )
    compare = commands.add_parser(
        "compare-models",
        help="how each model and prompt has done",
        description="Show how each model and prompt version has done, the account's own and its shadows.",
    )
    compare.add_argument("--account", help="the account's id (default: all)")


async def run(settings: Settings, chosen: argparse.Namespace) -> int:
    """Do what the command line says. Raises PerpetuaError."""
    runtime = Runtime(settings, long_lived=False)
    try:
        if chosen.command == "compare-models":
            async with runtime.open_work() as work:
                _say(_table(await work.opinions.compare(account_id=chosen.account, since=None, until=None)))
            return 0
        if chosen.command == "prune-records":
            return await _prune(runtime)
        if chosen.command == "preview-prompt":
            return await _preview(runtime, chosen)
        return await _replay(runtime, chosen)
    finally:
        await runtime.close()


async def _prune(runtime: Runtime) -> int:
    retention = runtime.settings.record_retention
    if retention is None:
        _say(["RECORD_RETENTION is not set: every decision is kept"])
        return 0
    await runtime.require_time()
    gone = await forget(runtime.database, runtime.clock, retention)
    _say([f"{gone.decisions:,} decisions, {gone.model_calls:,} model calls, {gone.documents:,} documents taken away"])
    return 0


async def _preview(runtime: Runtime, chosen: argparse.Namespace) -> int:
    engine = runtime.engine(chosen.account, _template(chosen.prompt))
    account = runtime.accounts[chosen.account].account
    tick = record_id(f"{chosen.account}@{chosen.tick}").tick if chosen.tick else None
    shown = await preview(account, tick, open_work=runtime.open_work, engine=engine, clock=runtime.clock)
    for message in shown["messages"]:
        _say([f"---- {message['role']}", message["content"], ""])
    cost = f"at most {shown['worst_cost_usd']} USD" if shown["worst_cost_usd"] else "at a price that is not known"
    _say(
        [
            f"---- {chosen.account}@{shown['tick']}, model {shown['model']}, prompt {shown['prompt_version']}",
            f"about {shown['prompt_tokens']} tokens and an answer of at most {shown['max_tokens']}, {cost} a question",
        ]
    )
    return 0


async def _replay(runtime: Runtime, chosen: argparse.Namespace) -> int:
    asks = chosen.model is not None or chosen.prompt is not None
    if asks and chosen.limits is not None:
        raise BadRequest("--limits goes without --model and --prompt: change one thing at a time")
    try:
        record = await load(runtime.open_work, record_id(chosen.id))
    except RecordBroken as exc:
        _say([str(exc)])
        return 1
    if chosen.limits is not None:
        limits = changed_limits(record.context.account.limits, _limits(chosen.limits))
        _say(_beside(rereview(record, limits, read=read)))
        return 0
    if asks:
        asked = await _reasked(runtime, record, chosen)
        _say(_beside(asked))
        return 1 if asked.after.judgement.why else 0
    again = await rerun(record, open_work=runtime.open_work, read=read)
    _say(_outcome(again))
    return 0 if again.same else 1


async def _reasked(runtime: Runtime, record: DecisionRecord, chosen: argparse.Namespace) -> Comparison:
    template = _template(chosen.prompt)
    return await reask(
        record,
        chosen.model or record.context.account.model,
        engine=runtime.engine(record.account_id, template),
        account=runtime.accounts[record.account_id].account,
        open_work=runtime.open_work,
        market=runtime.market,
        analyst=runtime.analyst,
        clock=runtime.clock,
        own_prompt=template is not None,
    )


def _template(path: Path | None) -> PromptTemplate | None:
    try:
        return PromptTemplate(path) if path else None
    except ValueError as exc:
        raise BadRequest(f"--prompt: {exc}") from None


def _limits(given: Sequence[str]) -> dict[str, Any]:
    """Return the limits that *given* names: pairs, and files of pairs. Raises BadRequest."""
    limits: dict[str, Any] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if equals:
            limits[name] = value
            continue
        try:
            found = yaml.safe_load(Path(word).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise BadRequest(f"--limits {word}: neither name=value nor a file that can be read: {exc}") from None
        except yaml.YAMLError:
            raise BadRequest(f"--limits {word}: this is neither YAML nor JSON") from None
        if not isinstance(found, dict):
            raise BadRequest(f"--limits {word}: must hold names and values, as under `risk` of an account")
        limits |= {str(key): item for key, item in found.items()}
    return limits


def _outcome(again: Rerun) -> list[str]:
    record = again.record
    name = f"{record.account_id}@{record.tick:%Y-%m-%dT%H:%M:%SZ}, record {again.name[:12]}"
    lines = [f"{'same' if again.same else 'otherwise'}: {name}"]
    lines += [f"  {each}" for each in again.differences]
    if record.judgement.why:
        lines.append(f"no answer: {record.judgement.why}")
    for each in again.as_json()["decisions"]:
        lines.append(f"{each['asset']}: {_words(each)}")
    lines += [f"candles behind the indicators: {each}" for each in again.candles]
    lines += [f"the code of the {part} is not what it was: differences may be its own" for part in again.code]
    return lines


def _beside(comparison: Comparison) -> list[str]:
    record = comparison.record
    lines = [f"{record.account_id}@{record.tick:%Y-%m-%dT%H:%M:%SZ}, record {comparison.name[:12]}"]
    for label, side in (("then", comparison.before), ("now ", comparison.after)):
        lines.append(f"{label}: {_title(side)}")
    for asset, (before, after) in comparison.by_asset().items():
        lines.append(f"{asset}: {'the same' if before == after else 'changed'}")
        lines += [f"  then: {_words(before)}", f"  now : {_words(after)}"]
    return lines


def _title(side: Side) -> str:
    words = [", ".join(f"{name} {value}" for name, value in side.title.items())]
    if side.cost is not None:
        words.append(f"{side.cost:f} USD")
    if side.judgement.why:
        words.append(f"no answer: {side.judgement.why}")
    return ", ".join(words)


def _words(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "nothing"
    clipped = (
        f" to leverage {told['allowed_leverage']}" if told["allowed_leverage"] not in {0, told["leverage"]} else ""
    )
    words = [
        f"{told['action']} {told['allocation_usd']} USD at leverage {told['leverage']}, {told['verdict']}{clipped}"
    ]
    if told["stop_loss"]:
        words.append(f"stop {told['stop_loss']}, target {told['take_profit']}")
    if told["code"]:
        words.append(f"{told['code']}: {told['reason']}")
    elif told["verdict"] != "held":
        words.append(f"quantity {told['quantity']}")
    return ", ".join(words)


def _table(scores: Sequence[ModelScore]) -> list[str]:
    if not scores:
        return ["no model was asked yet"]
    lines = []
    for each in scores:
        lines.append(f"{each.account_id}: {each.model}, prompt {each.prompt_version} ({each.purpose.value})")
        lines.append(
            f"  asked {each.asked}, answered {each.answered}, entries {each.entries}, approved {each.approved}, "
            f"scored {each.scored}, cost {each.cost:f} USD"
        )
        after = ", ".join(f"{name} {_share(value)}" for name, value in each.mean_after.items())
        lines.append(f"  hit rate {_share(each.hit_rate)}, mean return {_share(each.mean_result)}, left after {after}")
        if each.caution:
            lines.append(f"  {each.caution}")
    return lines


def _share(value: float | None) -> str:
    return "—" if value is None else f"{value:.2%}"


def _say(lines: Iterable[str]) -> None:
    print("\n".join(lines))  # noqa: T201 - this is the output
