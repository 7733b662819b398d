"""An independent signer of Ethereum messages, to hold our own signatures against: eth_account."""

import sys

# Importing it raises Python's recursion limit so far that deep JSON would crash the process of every other test.
_limit = sys.getrecursionlimit()
from eth_account import Account as EthAccount  # noqa: E402
from eth_account.messages import encode_defunct, encode_typed_data  # noqa: E402

sys.setrecursionlimit(_limit)

__all__ = ["EthAccount", "encode_defunct", "encode_typed_data"]
