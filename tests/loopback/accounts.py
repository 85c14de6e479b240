"""The one account: every key that is right belongs to it."""

from dataclasses import dataclass

ENTITY = "loopback"


@dataclass(frozen=True)
class Entity:
    name: str

    @property
    def id(self) -> str:
        return f"entity:{self.name}"

    organization = None
    user = None
    xxhash_digests_enabled = False


VIEWER = {
    "id": "user:1",
    "name": "Loopback",
    "username": ENTITY,
    "email": "loopback@example.org",
    "entity": ENTITY,
    "admin": False,
    "flags": "{}",
    "deleted_at": None,
    "api_keys": {"edges": []},
    "teams": {"edges": []},
}
