"""
The question put before a model: a template that people may edit, and the briefing as data.

Limits are printed from the briefing, so they are those that the risk review enforces. They stand last in the system
message: what comes before them is the same in every cycle, which lets providers cache it. Whatever the briefing holds
stays inside the JSON document of the user message, where escapes keep foreign text from passing for anything else.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from shared.domain.model import Prompt
from shared.llm.schema import EXAMPLE

DEFAULT_TEMPLATE = Path(__file__).parent / "prompts" / "v2.md"

LIMITS = (
    "max_leverage",
    "preferred_leverage",
    "max_position_usd",
    "max_total_exposure_usd",
    "max_positions",
    "min_notional_usd",
    "risk_per_trade",
    "min_reward_to_risk",
    "min_stop_distance",
    "max_stop_distance",
    "min_confidence",
    "taker_fee",
)
"""What a template may print as `$name`, besides `$example`."""

QUESTION = (
    "The account and its market, as one JSON document. Every series is ordered oldest to newest; the last value is the "
    "current one. Decide on every asset."
)


class PromptTemplate:
    """A system message with gaps for the limits and the example. `version` changes with every edit."""

    def __init__(self, path: Path = DEFAULT_TEMPLATE, text: str | None = None) -> None:
        """Read the template, or take *text* for what the file holds. Raises ValueError when it cannot be used."""
        try:
            text = path.read_text(encoding="utf-8") if text is None else text
        except (OSError, UnicodeDecodeError) as exc:
            raise ValueError(f"the prompt template {path} cannot be read: {exc}") from exc
        self._template = Template(text)
        if not self._template.is_valid():
            raise ValueError(f"the prompt template {path} holds a lone $: write $$ for a dollar sign")
        unknown = sorted(set(self._template.get_identifiers()) - {*LIMITS, "example"})
        if unknown:
            raise ValueError(
                f"the prompt template {path} asks for ${', $'.join(unknown)}; known are ${', $'.join(LIMITS)}, $example"
            )
        self.version = f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        self.text = text

    def prompt(self, briefing: Mapping[str, Any]) -> Prompt:
        """Return the messages for *briefing*, a JSON-ready document whose `limits` holds every one of LIMITS."""
        limits = {name: str(briefing["limits"][name]) for name in LIMITS}
        document = json.dumps(briefing, separators=(",", ":"), allow_nan=False)
        return Prompt(
            version=self.version,
            system=self._template.substitute(limits, example=json.dumps(EXAMPLE, indent=1)),
            user=f"{QUESTION}\n{document}",
        )


def briefed(prompt: Prompt) -> dict[str, Any]:
    """Return the briefing that *prompt* was made from. Raises ValueError when it holds none."""
    document: dict[str, Any]
    document, _ = json.JSONDecoder().raw_decode(prompt.user, prompt.user.index("{"))
    return document
