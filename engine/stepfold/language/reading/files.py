"""A definition in a file, as JSON text: `.asl.json` as it stands, `.asl.yaml` and `.asl.yml` written out as JSON.

YAML is read as templates are (`notation.py`): what looks like a date stays text, as the language wants it.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from stepfold.errors import InvalidDefinition


def read(path: str | PathLike[str], *, left_open: bool = False) -> str:
    """The JSON text of the definition; raises InvalidDefinition, which names the file, the line and the column.

    With `left_open` a `${placeholder}` may stand without quotes, for a value that a template will give.
    """
    from .notation import ProjectError, definition_text, read_file  # with YAML, which an embedded engine may never need

    file = Path(path)
    try:
        return definition_text(read_file(file), file, left_open=left_open)
    except ProjectError as error:
        raise InvalidDefinition(str(error)) from error
