"""Candles in, numbers out: indicators by TA-Lib."""
