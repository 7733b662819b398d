"""What the stages lean on: the domain, the adapters to the outside, and their composition."""
