"""What a user can cause and mend: the one exception, and the parser's reports as one sentence."""

from __future__ import annotations

import re


class UserError(ValueError):
    """Bad input: one sentence that names the file, key or value and says what to do.

    The command line prints it without a traceback.
    """


_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Expected a path"
)


def one_sentence(report: str) -> str:
    """The first concrete complaint of a jsonargparse report, after the keys and class that lead to it."""
    keys: list[str] = []
    owner = ""
    for line in report.splitlines():
        text = line.strip().removeprefix("- ")
        if not text or _NOISE.match(text):
            continue
        if key := re.match(r'Parser key "(.+?)":', text):
            keys.append(key[1])
        elif problem := re.match(r"Problem with given class_path '(.+?)':", text):
            owner = problem[1]
        else:
            place = f"{'.'.join(keys)}: " if keys else ""
            of = f" ({owner})" if owner else ""
            return f"{place}{text.rstrip('.')}{of}; see the verb's --help for what it takes."
    return report.splitlines()[0] if report else "the arguments can't be parsed; see --help."
