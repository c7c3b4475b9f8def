"""Every transformation by its name, alone and in combination."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.paraphrase.transforms.code import Change, Source
from tests.paraphrase.transforms.comprehensions import comprehension_to_loop, loop_to_comprehension
from tests.paraphrase.transforms.extra_lines import extra_lines
from tests.paraphrase.transforms.inline_helper import inline_helper
from tests.paraphrase.transforms.into_function import into_function
from tests.paraphrase.transforms.lambdas import function_to_lambda, lambda_to_function
from tests.paraphrase.transforms.layers_in_front import layers_in_front
from tests.paraphrase.transforms.move_to_module import move_to_module
from tests.paraphrase.transforms.rename import rename, rename_misleading
from tests.paraphrase.transforms.spellings import as_aliases, as_functions, as_methods, as_operators, as_unbind
from tests.paraphrase.transforms.split_helper import split_helper
from tests.paraphrase.transforms.to_attribute import to_attribute

Transform = Callable[[Source], Change | None]

_SINGLE: tuple[Transform, ...] = (
    rename,
    rename_misleading,
    function_to_lambda,
    lambda_to_function,
    inline_helper,
    split_helper,
    to_attribute,
    move_to_module,
    loop_to_comprehension,
    comprehension_to_loop,
    as_functions,
    as_methods,
    as_operators,
    as_unbind,
    as_aliases,
    extra_lines,
    layers_in_front,
    into_function,
)

# one after the other; a step that finds nothing to change is passed over
TRANSFORMS: Mapping[str, tuple[Transform, ...]] = {
    **{each.__name__: (each,) for each in _SINGLE},
    "rewritten": (as_methods, comprehension_to_loop, split_helper, rename_misleading, extra_lines, move_to_module),
    "condensed": (inline_helper, loop_to_comprehension, function_to_lambda, as_functions, rename),
    "rehoused": (layers_in_front, lambda_to_function, into_function, to_attribute, extra_lines),
}
