"""`python -m stepfold` is `stepfold`."""

from stepfold.cli import main

main(prog_name="stepfold")
