"""One execution, alive: what it hears, what it has done outside, and how it comes back from its log."""
