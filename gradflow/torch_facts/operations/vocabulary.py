"""What the words of the table mean. A test holds each of them against what torch does."""

from __future__ import annotations

__all__ = ["NO_DERIVATIVE", "VOCABULARY"]

VOCABULARY = {
    # memory
    "view": "the result is, or may be, what autograd calls a view of the first argument",
    "aliases": "the result may lie in the memory of the first argument, and autograd does not call it a view",
    "itself": "may give back the very tensor that it is given",
    "inplace": "changes its first argument when it is told `inplace=True`",
    "writes-nothing": "its name ends in `_`, and no value is changed",
    "exposes": "hands out memory, into which may then be written where torch does not see it",
    "blank": "gives memory and puts nothing into it",
    "getter": "a property of a tensor",
    # where the entries of the first argument go
    "same": "every entry at its place",
    "reshapes": "every entry in its order, in another shape",
    "permutes": "every entry, the axes in another order",
    "moves": "every entry, at another place",
    "repeats": "every entry, or each more often than once",
    "selects": "some of them, by their position: whatever else it is given says which",
    "picks": "some of them, by their value",
    "splits": "several parts of them, as several results",
    "places": "every entry, beside others",
    "replaces": "others in the place of some of them, or of all",
    # whose values count
    "reads": "only the arguments at these positions give values; the others a shape, a dtype or a device",
    "makes": "gives a tensor of a shape that it is told",
    "zeros": "of nothing but zeros",
    "facts": "tells something about a tensor that is none of its values",
    # to and from outside torch
    "leaves": "gives something that is no tensor: from here on torch cannot follow the values",
    "number": "the value itself, as a Python number or several",
    "whole-number": "an integer",
    "decision": "the one value itself, taken for true or false",
    "answer": "true or false of what was asked about the values",
    "array": "a NumPy array",
    "capsule": "the memory, for whatever library takes it over",
    "list": "all values at once",
    "tells": "text, from which the values can be read again",
    "imports": "takes values from outside torch (arrays, lists) as well as from tensors",
    "from-arrays": "makes a tensor of an array; by `__array_wrap__` NumPy hands back what it computed from one",
    # history
    "detaches": "the same values without their history",
    "rewraps": "values copied into a new leaf",
    "switches": "says whether a tensor requires grad",
    # what has no derivative
    "compares": "truths about each entry, that jump where two values are equal",
    "judges": "other truths about each entry, and operations on truths and whole numbers",
    "equates": "asks whether values are equal",
    "chooses": "where entries stand, or which ones they are",
    "counts": "how many there are",
    "whole": "whole numbers or truths of the values",
    "also-indices": "values, and besides them where they stood",
    # derivatives
    "flat": "a derivative of its own, which is zero for any input",
    "no-formula": "a history, and no formula: torch raises in backward",
    "pointwise": "each value is made of those at the same place",
    "sums": "a sum or a difference of two values",
    "product": "each value is one times another",
    "divides": "each value is one divided by another",
    "negates": "the value with the other sign",
    "matrix-product": "sums of products of two arguments",
    "attention": "a whole attention in one call",
    "multiplies": "hands on a gradient of zero where another factor of it is zero",
    "scales": "hands on the gradient times something that may be small: it can underflow here",
    "adds-at": "the position of an argument that is added, and nothing else is done with it",
    "saturates": "hands on nothing, or next to nothing, for some inputs",
    "rectifies": "exactly zero on a whole side of its input",
    "clips": "flat on a part of its input, and with some bounds zero there",
    "normalises": "the same result for values moved by a constant, or multiplied with one",
    "shares": "parts of a whole: none is negative, and together they are 1",
    "reduces": "one number of all entries where it is not told otherwise",
    "extreme": "the largest or smallest entry, or a smooth form of it",
    "of-nothing": "defined for no entries at all: the sum of nothing is 0",
    # chance
    "draws": "gives numbers that it draws at random",
    "draws-whole": "and they are whole numbers",
    "by-rejection": "and draws again what it rejects: the gradient is that of the distribution",
    "chance": "makes use of a draw, and does not give it",
    "drops": "some entries zero at random, the others as they are but for a factor",
    # what it is in a network
    "activation": "an element-wise nonlinearity of networks",
    "gate": "as a factor it gates the other one",
    "self-gate": "the same, although it is not confined to a range",
    "weighs": "applies weights, or mixes what it is given as weights would",
    "pools": "a smaller map, or another basis",
    "upsamples": "a larger map, as in the decoder of a U-Net",
    "cats": "brings values together side by side",
    "signal": "of three dimensions takes the second for channels: [N, C, L]",
    "casts": "another dtype, as it is told",
    "to-real": "real numbers, of the precision that its name says",
    "to-complex": "complex numbers, of the precision that its name says",
    "display": "often done to a tensor only in order to draw or print it",
}

NO_DERIVATIVE = frozenset({"compares", "judges", "chooses", "counts", "whole"})
"""Of these, torch records nothing: no result has a history."""
