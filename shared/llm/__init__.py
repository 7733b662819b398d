"""A language model as a trader: the question, the way to it, and reading glasses for the answer."""
