"""The four stages of a cycle, and the doors to call them by."""
