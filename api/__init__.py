"""The door for people and programs: REST over HTTP."""
