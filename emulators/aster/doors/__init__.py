"""The exchange's REST API and the emulator's own administration: who may ask, how often, and what can go wrong."""
