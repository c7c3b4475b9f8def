"""Whether a program raised an exception itself: then its words say nothing about torch, whatever they are."""

from __future__ import annotations

import dis

from gradflow.location import is_machinery
from gradflow.record.conduct.their_exceptions import traceback_of

__all__ = ["is_own_raise"]

_RAISE = dis.opmap["RAISE_VARARGS"]


def is_own_raise(error: BaseException) -> bool:
    """Whether a ``raise`` or ``assert`` of the program's own made an exception; ``False`` where torch or Python did.

    What torch's C++ raises has its innermost frame at a call, an operator or an attribute; what its Python raises has
    it in a file of torch.
    """
    traceback = traceback_of(error)
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None or traceback.tb_lasti < 0:
        return False
    code = traceback.tb_frame.f_code
    return not is_machinery(code.co_filename) and code.co_code[traceback.tb_lasti] == _RAISE
