"""``X-Request-Id``: one name for a request in the client's log, in ours and in the answer."""

from __future__ import annotations

from itertools import count
from string import ascii_letters, digits
from uuid import uuid4

LONGEST = 64
_CHARACTERS = (ascii_letters + digits + "-._:/").encode()


class RequestIds:
    """Takes over the client's id when it is harmless, else makes one that is unique among all servers."""

    def __init__(self) -> None:
        self._process = uuid4().hex[:12]
        self._numbers = count(1)

    def __call__(self, sent: bytes | None) -> str:
        """The id for a request that came with ``sent``."""
        if sent and len(sent) <= LONGEST and not sent.translate(None, _CHARACTERS):
            return sent.decode("ascii")
        return f"{self._process}-{next(self._numbers):x}"
