"""How the server writes its log: JSON lines on stderr, without patient data."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog


def configure_logging(level: str) -> None:
    """JSON lines on stderr, those of libraries (from warnings on) included."""
    stamp: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso")]
    as_json = structlog.processors.JSONRenderer(lambda event, **_: orjson.dumps(event, default=str).decode())
    structlog.configure(
        processors=[*stamp, as_json],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    tidy = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=stamp, processors=[tidy, as_json])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
