"""A W&B backend for tests: enough of the real one's protocol for the real clients, on 127.0.0.1.

Nothing here was compared with W&B's own server, which cannot be reached in a test; what the clients send
and accept is the only authority (see README.md).
"""

from .backend import API_KEY, Backend
from .faults import Fault
from .workplace import Workplace, wait_for

__all__ = ["API_KEY", "Backend", "Fault", "Workplace", "wait_for"]
