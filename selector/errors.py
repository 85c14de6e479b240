"""The one exception that a user's own mistake raises."""


class UserError(Exception):
    """A request that cannot be met; its text is one line: what came, what was wanted, what to do.

    The command line prints that line to stderr and exits with status 1; no traceback is shown.
    """
