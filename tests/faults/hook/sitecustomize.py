"""A server that a test starts with this folder on its path is broken as STEPFOLD_MUTANT says, before it begins."""

import os

from tests.faults import mutants

mutants.apply(os.environ["STEPFOLD_MUTANT"])
