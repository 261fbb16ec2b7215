"""Our loggers, which say nothing until the program says where logs go.

`import lumosai` does not load `logging`, which takes longer than all the rest of it: whoever logs asks here.
"""

from __future__ import annotations

import logging


def logger_of(name: str) -> logging.Logger:
    """The logger of that name, "lumosai" or one below it."""
    return logging.getLogger(name)


logging.getLogger("lumosai").addHandler(logging.NullHandler())
