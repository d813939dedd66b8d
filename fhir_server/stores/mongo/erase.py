"""Versions and resources removed for good. The numbers they had are not given out again (see ``documents.State``)."""

from __future__ import annotations

from typing import Any

from fhir_server.stores.mongo.fulltext import drop_old_texts, drop_texts
from fhir_server.stores.mongo.session import Session


async def forget(session: Session, type: str, id: str, version: int | None) -> int:
    """See ``store.Transaction.forget``."""
    wanted: dict[str, Any] = {"r": f"{type}/{id}"}
    if version is not None:
        wanted["v"] = version
    await drop_old_texts(session, type, id)
    return await _delete(session, "history", wanted)


async def erase(session: Session, type: str, id: str) -> int:
    """See ``store.Transaction.erase``."""
    past = await _delete(session, "history", {"r": f"{type}/{id}"})
    await drop_texts(session, type, id)
    return past + await _delete(session, "resource", {"_id": f"{type}/{id}"})


async def _delete(session: Session, collection: str, wanted: dict[str, Any]) -> int:
    answer = await session.run({"delete": collection, "deletes": [{"q": wanted, "limit": 0}]})
    count: int = answer["n"]
    return count
