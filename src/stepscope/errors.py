"""Every error that stepscope itself raises, as one tree.

An error says what is wrong, where, and what to do next. The user's own exceptions are
never wrapped in one of these: they pass through as they are.
"""


class StepscopeError(Exception):
    """The root of the tree: catch this to catch all that stepscope raises."""


class UsageError(StepscopeError):
    """The call cannot be carried out as it was written (a wrong path, a wrong option)."""


class RecordError(StepscopeError):
    """A record on disk cannot be read as asked."""


class NewerSchemaError(RecordError):
    """The record was written by a newer stepscope than this one."""


class NothingToShowError(StepscopeError):
    """The record holds no update that was looked at closely, so there is nothing to show."""
