"""Structural validation of resources: ``Validator(definitions).validate(data) -> list[Issue]``."""

from fhir_server.validation.validator import Validator

__all__ = ["Validator"]
