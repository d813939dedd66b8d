"""What stands in the index tables of a SQLite store, in a form that two stores can be compared by.

Numbers that a store gives out as it goes (of texts, of sets of arms) are replaced by what they stand for.
"""

from __future__ import annotations

import sqlite3
from array import array
from typing import Any

TABLES = {
    "term": "SELECT t.key, t.text, t.date, r.id, s.text FROM term t JOIN resource r ON r.rid = t.rid "
    "JOIN symbol s ON s.sid = t.extra",
    "link": "SELECT l.key, l.text, r.id, s.text FROM link l JOIN resource r ON r.rid = l.rid "
    "JOIN symbol s ON s.sid = l.extra",
    "string": "SELECT t.key, t.text, t.date, r.id, t.exact, t.edge FROM string t JOIN resource r ON r.rid = t.rid",
    "period": "SELECT t.key, t.span, t.low, t.high, t.date, r.id, t.edge FROM period t "
    "JOIN resource r ON r.rid = t.rid",
    "number": "SELECT t.key, t.span, t.low, t.high, t.date, r.id, t.text, s.text, t.edge FROM number t "
    "JOIN resource r ON r.rid = t.rid JOIN symbol s ON s.sid = t.extra",
    "composite": "SELECT t.key, t.text, t.date, r.id, t.place, t.low, t.high, t.text2, t.low2, t.high2, t.text3, "
    "t.low3, t.high3 FROM composite t JOIN resource r ON r.rid = t.rid",
    "position": "SELECT t.key, t.latitude, t.longitude, t.date, r.id FROM position t JOIN resource r ON r.rid = t.rid",
}
LIVE = (
    "SELECT y.text, r.id, l.date, s.keys FROM live l JOIN resource r ON r.rid = l.rid "
    "JOIN symbol y ON y.sid = l.tid JOIN shape s ON s.shape = l.shape WHERE substr(y.text, 1, 1) <> '_'"
)


def index_rows_of(file: str) -> dict[str, list[tuple[Any, ...]]]:
    """Table → its rows in order; ``live`` has the arms of each resource."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        found = {name: sorted(connection.execute(text), key=repr) for name, text in TABLES.items()}
        live = [(*row[:3], tuple(array("I", row[3]))) for row in connection.execute(LIVE)]
    connection.close()
    return {**found, "live": sorted(live)}
