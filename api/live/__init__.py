"""Streams over WebSocket: what happens, as it happens. `docs/streams.md` is the protocol."""
