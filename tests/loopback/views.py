"""Reports, which W&B calls views."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Project


@dataclass(eq=False, repr=False)
class View:
    project: Project
    number: int
    name: str
    type: str
    display_name: str
    description: str
    spec: str
    created_at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()))

    @property
    def id(self) -> str:
        return base64.b64encode(f"View:{self.number}".encode()).decode()  # the client decodes it

    @property
    def updated_at(self) -> str:
        return self.created_at

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """What the report consists of."""
        found: list[dict[str, Any]] = json.loads(self.spec)["blocks"]
        return found
