"""How people are told: by a webhook, and through the usual chat services."""
