"""What the worker processes of this project have in common."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Let this process end when the one that started it does, however that may be."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
