"""OpenAPI 3.1 documents, generated from the route table, the definitions and the search registry.

``OpenApi(server, ROUTES)`` makes each document when it is first asked for and keeps its bytes:
``of_type("Patient")``, ``of_system()``, ``whole()``. ``fhir_server.rest.swagger.documentation_router`` serves them.
A new row of ``ROUTES`` needs a row in ``interactions.FACTS``; a test says so.
"""

from fhir_server.rest.openapi.documents import OpenApi

__all__ = ["OpenApi"]
