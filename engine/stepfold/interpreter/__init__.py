"""What a definition means: a pure core that turns signals into facts. No I/O, no clock, no chance."""
