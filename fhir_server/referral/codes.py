"""The systems and codes by which the referral workflow knows its own resources.

Their CodeSystems stand in ``profiles/code-systems/``.
"""

from __future__ import annotations

ROOT = "http://cmc.example.org/fhir"

STANDARD_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
TASK_CODE = f"{ROOT}/CodeSystem/task-code"
BUSINESS_STATUS = f"{ROOT}/CodeSystem/referral-business-status"
CATEGORY = f"{ROOT}/CodeSystem/referral-category"
TASK_IO = f"{ROOT}/CodeSystem/task-io"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
IDENTITY_CHECK = f"{ROOT}/CodeSystem/identity-check"
