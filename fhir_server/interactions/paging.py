"""A search to its end, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from fhir_server.search.query import Query
from fhir_server.store import Page, Reading


async def all_pages(reading: Reading, query: Query) -> AsyncIterator[Page]:
    """Every page of ``query``, as many records on each as it asks for; all show the moment of the first."""
    step: Query | None = query
    while step is not None:
        page = await reading.search(step)
        yield page
        step = replace(step, cursor=page.next) if page.next else None
