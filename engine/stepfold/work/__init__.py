"""How work is done: everything that touches the outside, but the store."""
