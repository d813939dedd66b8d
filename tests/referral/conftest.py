"""Fixtures of the referral floor."""

from __future__ import annotations

import pytest

from fhir_server.referral.table import load_workflow
from fhir_server.referral.workflow import Workflow


@pytest.fixture
def workflow() -> Workflow:
    return load_workflow()
