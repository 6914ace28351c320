"""What the log can tell: pure readers, which never act."""
