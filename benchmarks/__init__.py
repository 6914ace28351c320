"""What the house costs, measured beside the floor that it stands on, in the same run."""
