"""A project's functions, made known to an engine."""

from __future__ import annotations

from collections.abc import Mapping

from stepfold.language.reading.projects import Project
from stepfold.work.functions.handlers import OnOutput
from stepfold.work.standard import ProjectFunctions

from .engine import Engine


def register_functions(
    engine: Engine,
    project: Project,
    *,
    on_output: OnOutput | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Register a project's functions, before the engine is entered, so that what resumes finds them.

    `on_output` hears what they write: the function's name, `stdout` or `stderr`, the line. `environment` is what each
    finds in its own beside Lambda's variables, where the template sets nothing else.
    """
    functions = ProjectFunctions(project.functions, home=engine.home, on_output=on_output, environment=environment)
    engine.keep(functions)
    for name, worker in functions.workers.items():
        engine.register(name, worker)
