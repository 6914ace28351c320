"""Functions: Python callables, and Lambda handlers unchanged in child processes of their own."""
