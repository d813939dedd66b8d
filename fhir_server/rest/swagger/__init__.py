"""Swagger UI, served from the package: no other host is asked for anything.

``app.py`` (or ``site.py``) adds it with one line::

    site.include_router(documentation_router(OpenApi(server, ROUTES, site.openapi)))

Addresses: ``/docs`` (the page, with a selector of resource types; ``/docs#Patient`` opens one),
``/docs/static/…``, ``/openapi.json`` (everything), ``/openapi/{Type}.json``, ``/openapi/System.json`` (what
belongs to no type) and ``/openapi/index.json`` (the names). None of them needs a token: they tell nothing about
anybody.
"""

from fhir_server.rest.swagger.routes import documentation_router

__all__ = ["documentation_router"]
