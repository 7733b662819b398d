"""The clock that starts cycles."""
