"""FHIR's verbs, one file each, and the corridor (``write.py``) that every write goes through.

Doors call these functions; nothing here knows HTTP. ``base`` is the server's address without a
slash at its end. Source: FHIR R4 http.html.
"""
