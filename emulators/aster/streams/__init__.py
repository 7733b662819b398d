"""The exchange over WebSocket: market and user streams, and what can go wrong with them."""
