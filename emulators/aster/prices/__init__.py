"""Where prices come from: instruments, candles, and the markets made of them."""
