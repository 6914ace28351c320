"""The runs of distributed Maps: a window of executions, begun and ended turn by turn."""
