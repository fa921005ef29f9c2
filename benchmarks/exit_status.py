"""How Python would end, for processes that are forked instead of started."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable


def exit_status(act: Callable[[], None]) -> int:
    """Does it; what a program's exit status would be then, its last words printed."""
    try:
        act()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
