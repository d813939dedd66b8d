"""FHIRPath: text → tokens → syntax tree → closures. Nothing is ever given to Python's ``eval``.

``compile_expression(text, definitions)`` makes a callable that takes a ``Node`` and returns a list
of ``Node`` (FHIR data) and plain Python values (what FHIRPath calls System values).

Source: FHIRPath N1 (hl7.org/fhirpath/N1) and FHIR R4 fhirpath.html.
"""

from fhir_server.fhirpath.compiler import Expression, compile_expression, compile_tree
from fhir_server.fhirpath.errors import ExpressionError
from fhir_server.fhirpath.node import Model, Node
from fhir_server.fhirpath.parser import parse

__all__ = ["Expression", "ExpressionError", "Model", "Node", "compile_expression", "compile_tree", "parse"]
