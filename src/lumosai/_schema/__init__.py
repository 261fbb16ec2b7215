"""Type hints to JSON Schema, and a model's JSON back to typed values.

The only place that knows pydantic (in `typed`), the docstring parser (in `docs`) and the jsonschema library (in `raw`).
Each is imported when first needed: a tool whose parameters are all text, numbers and booleans needs none of them.
"""

from __future__ import annotations

from lumosai._schema.output import OutputSchema, output_of
from lumosai._schema.partial import PartialSchema
from lumosai._schema.problems import InvalidArguments, InvalidOutput, Problem
from lumosai._schema.signature import Signature, parameters_from, parameters_of

__all__ = [
    "InvalidArguments",
    "InvalidOutput",
    "OutputSchema",
    "PartialSchema",
    "Problem",
    "Signature",
    "output_of",
    "parameters_from",
    "parameters_of",
]
