"""What may be written: the Amazon States Language as data, checked and made ready to run."""
