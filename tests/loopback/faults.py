"""Ways in which the backend can be told to misbehave."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass
class Fault:
    """What goes wrong, where and how often.

    Attributes:
        kind: "slow" answers after `seconds`; "error" with the status of `status`; "rate_limit" with 429 and
            Retry-After `seconds`; "drop" breaks the connection in the middle of the body; "truncate" sends
            half of the JSON as if it were all; "html" sends a page in place of JSON; "text" sends `text`;
            "call" runs `action` and then answers as ever.
        operation: Name of a GraphQL operation, or "file_stream", or "storage"; "" hits every GraphQL request.
        times: How many requests it hits; None hits them all until it is taken away.
        mentions: Only requests whose text holds this.
        after: Matching requests that are let through first.
    """

    kind: Literal["slow", "error", "rate_limit", "drop", "truncate", "html", "text", "call"]
    operation: str = ""
    times: int | None = 1
    mentions: str = ""
    after: int = 0
    seconds: float = 1.0
    status: int = 500
    text: str = ""
    action: Callable[[], object] | None = None
    hits: int = 0

    def takes(self, names: tuple[str, ...], is_graphql: bool, text: str) -> bool:
        """Whether it hits this request; counts it where it does."""
        if not (self.operation in names if self.operation else is_graphql) or self.mentions not in text:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True
