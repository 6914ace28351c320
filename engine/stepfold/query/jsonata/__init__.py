"""The JSONata dialect, as AWS runs it: the twin of `query/jsonpath`.

What others use of it is in `dialect.py`:

- `DIALECT.compile(source, field)` makes a template of any JSON value; `field` is what failures call it (`Output`,
  `Assign`, `Choices[1]/Condition`), and deeper places are added to it (`Output/a/values[0]`). `compile_expression`
  does so for a field that holds one expression, `is_expression` tells whether it does, and `DIALECT.refusals(source)`
  gives all that is wrong. A `SourceError` has AWS's code: INVALID_JSONATA_EXPRESSION where the text is no JSONata,
  UNSUPPORTED_JSONATA_EXPRESSION for a bare name, `$` or `$$` at the top level; and the place in the template.
  One of `DIALECT.refusals` stands for each distinct reference, as on AWS.
- A template says before it runs: `heavy`; `variables`, the names it reads; `states`, which of `input`, `context`,
  `result`, `errorOutput` it reads of `$states` (`*`: all of it); `newer`, operators that AWS does not have; `constant`,
  its value where there is no expression in it; `expressions`, each with the same, its `source`, `field` and `place`.
  `ambiguous`, of an expression, are the names of functions and of its own variables: a variable that an Assign sets
  under such a name (`count`) hides the function, as in JSONata, where there is one.
- `render(scope, moment)` gives its value. Of a `Scope` it sees `value` as `$states.input`, `context`, `result` and
  `error_output` (as text, or None where there is none), and `variables` as trees. With `moment.unhurried` it may take
  seconds, lets other threads run, and never raises `Overrun`; without, it does where it needs more than a small budget.
- An expression has `pick`, the value as a tree, for conditions and numbers, and `unexpected`, the failure where a
  field takes another type.
- A `QueryError` has the error `States.QueryEvaluationError`, AWS's cause but for its prefix, and the `location`.
"""
