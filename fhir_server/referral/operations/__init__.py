"""The $operations of a referral Task: one per move of the guard table, and ``$available-actions``."""

from __future__ import annotations

from fhir_server.interactions.context import Operation
from fhir_server.referral.operations.available_actions import OPERATION
from fhir_server.referral.operations.moves import MOVES

OPERATIONS: tuple[Operation, ...] = (*MOVES, OPERATION)
