"""Logs: one JSON object a line, with the ids of the work at hand, in the file of its channel, and no secret in it."""

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.logs import JsonFormatter, log_ids, set_up_logging
from shared.secrets import MASK, remember
from shared.settings import SettingsError

FILES = {"app", "trading", "market-data", "llm", "errors"}


def formatted(message: str, *args: Any, exc_info: Any = None, **extra: Any) -> dict[str, Any]:
    logger = logging.getLogger("perpetua.trading")
    record = logger.makeRecord(logger.name, logging.INFO, "file.py", 1, message, args, exc_info, extra=extra)
    [line] = JsonFormatter().format(record).splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_is_one_json_object_with_time_level_channel_and_message() -> None:
    line = formatted("sent %d orders\nfor %s", 2, "main", symbol="BTCUSDT", price=Decimal("1.50"))
    moment = datetime.fromisoformat(line.pop("time"))

    assert moment.utcoffset() == UTC.utcoffset(None)
    assert line == {
        "level": "INFO",
        "channel": "trading",
        "message": "sent 2 orders\nfor main",
        "symbol": "BTCUSDT",
        "price": "1.50",
    }


def test_ids_stand_on_every_line_of_their_block_and_on_none_after_it() -> None:
    with log_ids(account="main", cycle="12:00"):
        with log_ids(stage="fetch", cycle="12:05"):
            inner = formatted("at work")
        outer = formatted("done")
    after = formatted("later")

    assert (inner["account"], inner["cycle"], inner["stage"]) == ("main", "12:05", "fetch")
    assert (outer["account"], outer["cycle"]) == ("main", "12:00")
    assert "stage" not in outer
    assert {"account", "cycle", "stage"} & after.keys() == set()


def test_ids_end_with_their_block_even_when_it_fails() -> None:
    with pytest.raises(KeyError), log_ids(account="main"):
        raise KeyError

    assert "account" not in formatted("later")


def test_secrets_are_masked_in_message_and_argument() -> None:
    remember(["correct-horse"])
    line = formatted("correct-horse and %s and %r", "correct-horse", ValueError("correct-horse"))

    assert line["message"] == f"{MASK} and {MASK} and ValueError('{MASK}')"


def test_an_argument_that_names_its_secret_is_masked_before_it_is_text() -> None:
    assert formatted("headers %s", [{"X-MBX-APIKEY": "tiny"}])["message"] == f"headers [{{'X-MBX-APIKEY': '{MASK}'}}]"
    assert formatted("key %(api_key)s of %(id)s", {"api_key": "tiny", "id": 7})["message"] == f"key {MASK} of 7"


def test_secrets_are_masked_in_a_traceback() -> None:
    remember(["correct-horse"])
    failure = ConnectionError("no answer from postgresql://trader:hunter2@db for correct-horse")
    with pytest.raises(ConnectionError) as caught:
        raise failure
    line = formatted("failed", exc_info=(type(failure), failure, caught.tb))

    assert f"ConnectionError: no answer from postgresql://{MASK}@db for {MASK}" in line["exception"]
    assert "Traceback" in line["exception"]


def test_secrets_are_masked_in_nested_structures_and_in_strange_objects() -> None:
    remember(["correct-horse"])

    class Strange:
        def __str__(self) -> str:
            return "strange correct-horse"

    line = formatted(
        "x", request={"api_secret": "s", "rows": [{"note": "correct-horse"}]}, thing=Strange(), raw=b"\xff"
    )

    assert line["request"] == {"api_secret": MASK, "rows": [{"note": MASK}]}
    assert (line["thing"], line["raw"]) == (f"strange {MASK}", "b'\\xff'")


def test_a_key_that_json_does_not_know_loses_no_line() -> None:
    assert formatted("x", sizes={("BTCUSDT", 1): 2})["sizes"] == {"('BTCUSDT', 1)": 2}


def test_each_channel_has_its_file_and_errors_gather_in_theirs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "deep" / "logs"
    set_up_logging("api", level="INFO", folder=folder)
    for channel in ("app", "trading", "market_data", "llm"):
        logging.getLogger(f"perpetua.{channel}").info("%s works", channel)
        logging.getLogger(f"perpetua.{channel}").debug("unheard")
    logging.getLogger("perpetua.llm").error("llm fails")
    logging.getLogger("elsewhere").warning("a library speaks")

    told = {path.name.removeprefix("api-").removesuffix(".jsonl"): lines_of(path) for path in folder.iterdir()}
    assert {name: [line["message"] for line in lines] for name, lines in told.items()} == {
        "app": ["app works"],
        "trading": ["trading works"],
        "market-data": ["market_data works"],
        "llm": ["llm works", "llm fails"],
        "errors": ["llm fails"],
    }
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == [
        *("app works", "trading works", "market_data works", "llm works", "llm fails", "a library speaks"),
    ]


def test_files_rotate_at_midnight_and_are_kept_for_a_while(tmp_path: Path) -> None:
    set_up_logging("api", level="INFO", folder=tmp_path)
    loggers = map(
        logging.getLogger, ("perpetua", *(f"perpetua.{name}" for name in ("app", "trading", "market_data", "llm")))
    )
    handlers = [
        handler
        for logger in loggers
        for handler in logger.handlers
        if isinstance(handler, logging.handlers.TimedRotatingFileHandler)
    ]

    assert {Path(handler.baseFilename).name for handler in handlers} == {f"api-{name}.jsonl" for name in FILES}
    assert all(handler.when == "MIDNIGHT" and handler.utc and handler.backupCount >= 14 for handler in handlers)


def test_a_rotated_file_keeps_what_it_held_and_a_new_one_begins(tmp_path: Path) -> None:
    set_up_logging("api", level="INFO", folder=tmp_path)
    trading = logging.getLogger("perpetua.trading")
    trading.info("yesterday")
    [handler] = trading.handlers
    assert isinstance(handler, logging.handlers.TimedRotatingFileHandler)
    handler.doRollover()
    trading.info("today")

    kept = sorted(tmp_path.glob("api-trading.jsonl*"))
    assert [lines_of(path)[0]["message"] for path in kept] == ["today", "yesterday"]


def test_two_processes_never_share_a_file(tmp_path: Path) -> None:
    for process in ("api", "scheduler"):
        set_up_logging(process, level="INFO", folder=tmp_path)
        logging.getLogger("perpetua.app").info("here")

    assert {path.name for path in tmp_path.iterdir()} == {"api-app.jsonl", "scheduler-app.jsonl"}


def test_without_a_folder_nothing_goes_to_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    set_up_logging("api", level="INFO", folder=None)
    logging.getLogger("perpetua.trading").error("only here")

    assert [*tmp_path.iterdir()] == []
    assert json.loads(capsys.readouterr().out)["message"] == "only here"


def test_the_level_is_the_operators(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("api", level="ERROR", folder=None)
    logging.getLogger("perpetua.app").warning("unheard")
    logging.getLogger("perpetua.app").error("heard")

    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["heard"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match=r"^LOG_FOLDER: .*/file/logs cannot be made: Not a directory$"):
        set_up_logging("api", level="INFO", folder=tmp_path / "file" / "logs")


@pytest.mark.parametrize("text", [None, "", "version: 1", "{", "version: 1\nloggers: {perpetua: {}}\nhandlers: {}\n"])
def test_a_configuration_that_cannot_be_used_is_one_clear_line(text: str | None, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    if text is not None:
        config.write_text(text)

    with pytest.raises(SettingsError, match=r"^LOGGING_CONFIG: .*/mine.yaml cannot be used: ") as caught:
        set_up_logging("api", level="INFO", folder=None, config=config)
    assert len(str(caught.value).splitlines()) == 1


def test_a_configuration_of_ones_own_takes_the_place_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "version: 1\n"
        "disable_existing_loggers: false\n"
        "formatters: {plain: {format: '{process} %(message)s'}}\n"
        "handlers: {stdout: {class: logging.StreamHandler, stream: ext://sys.stdout, formatter: plain}}\n"
        "loggers: {perpetua: {handlers: [stdout]}}\n"
        "root: {handlers: []}\n"
    )
    set_up_logging("api", level="INFO", folder=None, config=config)
    logging.getLogger("perpetua.app").info("hello")

    assert capsys.readouterr().out == "api hello\n"
