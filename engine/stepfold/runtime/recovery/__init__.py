"""What becomes of executions that a process left behind: taken up again, set aside, or looked over."""
