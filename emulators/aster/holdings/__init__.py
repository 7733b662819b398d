"""What accounts have, and what happened to them: orders, positions, margin, the ledger and its journal."""
