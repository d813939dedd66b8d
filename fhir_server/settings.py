"""Every setting: its name, type, default and meaning.

Options win over the environment (``FHIR_…``), the environment over ``fhir-server.toml`` in the
working directory. Only ``app.py`` and ``cli`` read this module.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_size(text: object) -> int:
    """A size in bytes from ``134217728``, ``128 MiB`` or ``5MB``. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", str(text), flags=re.ASCII)
    if not match or match[2].lower() not in UNITS:
        raise ValueError("a size is a whole number with an optional unit: 64 MiB, 5MB, 1048576")
    return int(match[1]) * UNITS[match[2].lower()]


def is_loopback(host: str) -> bool:
    """True when ``host`` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def shown_url(url: str) -> str:
    """A store's ``url`` as it may be told: without user, password and options."""
    scheme, found, place = url.partition("://")
    if not found or scheme == "sqlite":
        return url
    return f"{scheme}://{place.rpartition('@')[2].partition('?')[0]}"


Size = Annotated[int, BeforeValidator(parse_size)]


class Settings(BaseSettings):
    """The settings of one server process."""

    model_config = SettingsConfigDict(env_prefix="FHIR_", toml_file="fhir-server.toml", extra="forbid")

    store: str = Field(
        default="sqlite:///data/fhir.db",
        description="where resources are kept: sqlite:///path or mongodb://…/database",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="HTTP port")
    workers: int = Field(default=1, ge=1, le=64, description="how many processes serve; one per core")
    base_url: str | None = Field(
        default=None, description="absolute base for links when behind a proxy; else from the request"
    )
    auth: Literal["on", "off"] = Field(default="on", description="off is accepted only on a loopback host")
    durability: Literal["full", "normal"] = Field(
        default="full", description="full: on disk before the answer; normal: on disk within a second"
    )
    timezone: str = Field(default="Asia/Shanghai", description="zone of dates without one")
    search_handling: Literal["strict", "lenient"] = Field(
        default="strict", description="strict: unknown parameters are errors; lenient: ignored and reported"
    )
    profiles: Path = Field(
        default=Path("profiles"), description="folder of profiles and vocabulary, walked at start"
    )
    mappings: Path = Field(
        default=Path("mappings"), description="folder of HIS mappings, one sub-folder each, walked at start"
    )
    reference_check: Literal["on", "off"] = Field(
        default="off", description="on: a literal reference must point to a resource that is here"
    )
    conditional_delete: Literal["single", "multiple"] = Field(
        default="single",
        description="multiple: a DELETE by criteria removes all that match; single: only one, several are an error",
    )
    mllp_port: int = Field(default=2575, ge=0, le=65535, description="HL7 v2 door over MLLP; 0 = closed")
    max_body: Size = Field(
        default=parse_size("128 MiB"), description="larger bodies (after decompression) get 413"
    )
    cors_origins: str = Field(
        default="",
        description="origins whose web pages may call this server from a browser, separated by commas; * = any",
    )
    trusted_proxies: str = Field(
        default="",
        description="proxies whose X-Forwarded-For is believed: addresses and networks, separated by commas",
    )
    log: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="JSON lines on stderr; no patient data in logs"
    )

    @property
    def shown_store(self) -> str:
        """``store`` as it may be told."""
        return shown_url(self.store)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"no time zone is called {name!r}; an example is Asia/Shanghai") from error
        return name

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        origins = text.replace(",", " ").split()
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin):
                raise ValueError(f"an origin is scheme://host[:port] without a path, not {origin!r}")
        return ",".join(origins)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        networks = text.replace(",", " ").split()
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"an address or a network such as 10.0.0.0/24, not {network!r}") from error
        return ",".join(networks)

    @model_validator(mode="after")
    def _no_open_door(self) -> Settings:
        if self.auth == "off" and not is_loopback(self.host):
            raise ValueError(
                f"FHIR_AUTH=off is accepted only on a loopback host, not on {self.host}: "
                "set FHIR_AUTH=on or FHIR_HOST=127.0.0.1"
            )
        return self
