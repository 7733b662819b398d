"""
Logging: one JSON object a line, with the ids of the work at hand, and no secret in it.

Channels are loggers: `perpetua.app`, `perpetua.trading`, `perpetua.market_data`, `perpetua.llm`; errors of all of them
gather in a file of their own.
"""

import json
import logging
import logging.config
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from shared.secrets import mask
from shared.settings import SettingsError

DEFAULT_CONFIG = Path(__file__).with_name("logging_config.yaml")
_ids: ContextVar[dict[str, str]] = ContextVar("ids", default={})  # noqa: B039 - never mutated, only replaced
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@contextmanager
def log_ids(**ids: str) -> Iterator[None]:
    """Put these ids (request, account, cycle, stage) on every line logged inside the block."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, channel, message, ids, extra fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Secrets are masked in every part, the traceback included."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "channel": record.name.removeprefix("perpetua."),
            "message": _message(record),
            **_ids.get(),
            **{name: value for name, value in record.__dict__.items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(mask(line), default=lambda value: mask(str(value)), ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    """Mask the arguments before they are text: afterwards no key tells which of their values are secret."""
    args = mask(record.args)
    return str(record.msg) % (tuple(args) if isinstance(args, list) else args) if args else str(record.msg)


def set_up_logging(process: str, *, level: str, folder: Path | None, config: Path | None = None) -> None:
    """Configure logging for this process from *config*, or from our own `logging_config.yaml`.

    Without a *folder*, nothing goes to files. Raises SettingsError.
    """
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise SettingsError(f"LOG_FOLDER: {folder} cannot be made: {exc.strerror}") from None
    try:
        _configure(config or DEFAULT_CONFIG, process, level, folder)
    except (OSError, yaml.YAMLError, LookupError, AttributeError, TypeError, ValueError) as exc:
        raise SettingsError(f"LOGGING_CONFIG: {config} cannot be used: {' '.join(str(exc).split())}") from exc


def _configure(config: Path, process: str, level: str, folder: Path | None) -> None:
    text = config.read_text(encoding="utf-8")
    settings = yaml.safe_load(text.replace("{process}", process).replace("{folder}", str(folder)))
    settings["loggers"]["perpetua"]["level"] = level
    if folder is None:
        settings["handlers"] = {"stdout": settings["handlers"]["stdout"]}
        for logger in (*settings["loggers"].values(), settings["root"]):
            logger["handlers"] = [name for name in logger.get("handlers", []) if name == "stdout"]
    logging.config.dictConfig(settings)
