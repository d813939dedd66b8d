"""The rules that join the referral to the corridor: what happens on a write of which type.

``app.py`` gives ``RULES``, ``ADOPT`` and ``STALE`` to the Server.
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.interactions.context import Adopt, Rule, Stale
from fhir_server.referral.arrival import adopt_encounter, check_encounter
from fhir_server.referral.request import check_service_request
from fhir_server.referral.tasks import check_task, explain_stale

RULES: Mapping[str, tuple[Rule, ...]] = {
    "Task": (check_task,),
    "ServiceRequest": (check_service_request,),
    "Encounter": (check_encounter,),
}
ADOPT: Mapping[str, Adopt] = {"Encounter": adopt_encounter}
STALE: Mapping[str, Stale] = {"Task": explain_stale}
