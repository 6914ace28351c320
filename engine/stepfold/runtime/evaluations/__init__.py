"""Expressions that do not belong into a decision: evaluated beside it, under limits of time and memory."""
