"""References: relative, absolute, versioned, urn, fragment, canonical, conditional.

Source: FHIR R4 references.html, datatypes.html#canonical, http.html#trules.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_ID = r"[A-Za-z0-9.-]{1,64}"
_LOCAL = re.compile(rf"([A-Z][A-Za-z]{{0,63}})/({_ID})(?:/_history/({_ID}))?(?:#(.+))?", re.ASCII)
_TAIL = re.compile(rf"(.*/)?([A-Z][A-Za-z]{{0,63}})/({_ID})(?:/_history/({_ID}))?", re.ASCII | re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{0,63})\?(.+)", re.ASCII | re.DOTALL)


class ParsedReference(NamedTuple):
    """A reference taken apart.

    ``url`` None: a resource of this server, ``type`` and ``id`` name it. Else ``url`` is where it is, without
    version and fragment (``urn:uuid:…``, another server's address, a canonical), and ``type`` and ``id`` are
    what its end says, None when it has not the form ``…/Type/id``. ``fragment`` is the contained
    resource meant (``#p1`` → "p1"); when only that is given, everything else is None.
    """

    type: str | None
    id: str | None
    version: str | None = None
    url: str | None = None
    fragment: str | None = None

    @property
    def is_local(self) -> bool:
        """True when it names a resource of this server."""
        return self.url is None and self.id is not None

    @property
    def is_contained(self) -> bool:
        """True when it names a resource contained in the same one."""
        return self.url is None and self.id is None


@lru_cache(maxsize=8192)
def parse_reference(text: str, base_url: str | None = None) -> ParsedReference:
    """Take ``text`` apart. ``base_url`` is this server's address; a reference that begins with it is local.

    Nothing is refused: what has no known form is a ``url`` as it stands.
    """
    match = _LOCAL.fullmatch(_without_base(text, base_url) if base_url else text)
    if match:
        return ParsedReference(match[1], match[2], match[3], None, match[4])
    if text.startswith("#"):
        return ParsedReference(None, None, None, None, text[1:])
    if is_conditional(text):
        return ParsedReference(None, None, None, text)
    return _elsewhere(text)


def _without_base(text: str, base_url: str) -> str:
    base = base_url.rstrip("/") + "/"
    return text.removeprefix(base)


def _elsewhere(text: str) -> ParsedReference:
    body, _, fragment = text.partition("#")
    url, _, version = body.partition("|")
    match = None if url.startswith("urn:") else _TAIL.fullmatch(url)
    if match is None:
        return ParsedReference(None, None, version or None, url, fragment or None)
    if match[4]:
        url, version = url.rpartition("/_history/")[0], version or match[4]
    return ParsedReference(match[2], match[3], version or None, url, fragment or None)


def split_canonical(text: str) -> tuple[str, str | None]:
    """The URL and the version of a canonical: ``http://x/y|1.0`` → (``http://x/y``, ``1.0``)."""
    url, _, version = text.partition("|")
    return url, version or None


def is_absolute(text: str) -> bool:
    """True for a reference with a scheme: ``http://…``, ``urn:uuid:…``."""
    return _SCHEME.match(text) is not None


def is_conditional(text: str) -> bool:
    """True for a reference that is a search: ``Practitioner?identifier=…`` (transactions only)."""
    return _CONDITIONAL.fullmatch(text) is not None
