"""The JSONPath query language, as AWS runs it."""
