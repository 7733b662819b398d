"""The rules and words of trading. Values in, values out: no I/O, no clock, no framework, standard library only."""
