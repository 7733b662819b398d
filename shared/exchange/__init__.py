"""AsterDEX over HTTP: its signatures, its payloads, its failures and its limits, behind the ports of the domain."""
