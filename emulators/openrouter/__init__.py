"""OpenRouter over the wire: chat completions by emulated models, for paper trading with no key and no internet."""

from emulators.openrouter.app import create_app

__all__ = ["create_app"]
