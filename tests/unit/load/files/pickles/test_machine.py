"""The machine gives what Python's own unpickler gives, for everything that is plain data; and nothing else."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflow.load.files.pickles.draft import DamagedError, RefusedError
from gradflow.load.files.pickles.reading import names_in, read_pickle, unknown_names

keys = st.one_of(st.text(max_size=5), st.integers(-(2**60), 2**60), st.booleans(), st.none(), st.binary(max_size=5))
leaves = st.one_of(
    keys, st.integers(-(2**200), 2**200), st.floats(allow_nan=False), st.complex_numbers(allow_nan=False)
)
plain = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4).map(OrderedDict),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.lists(inner, max_size=3).map(deque),
        st.binary(max_size=8).map(bytearray),
    ),
    max_leaves=20,
)


def read(data, **options):
    return read_pickle(io.BytesIO(data), len(data), storages=None, file_size=len(data), **options)


@given(value=plain, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_what_the_unpickler_of_python_makes_of_it(value, protocol):
    found = read(pickle.dumps(value, protocol))
    assert found == value
    assert type(found) is type(value)


@given(data=st.binary(max_size=60))
def test_arbitrary_bytes_are_damaged_or_refused_and_nothing_else(data):
    try:
        read(b"\x80\x02" + data + b".")
    except (DamagedError, RefusedError):
        return


def test_a_value_that_is_held_twice_is_one_object():
    shared = [1]
    first, second = read(pickle.dumps([shared, shared]))
    assert first is second


@pytest.mark.parametrize(
    ("data", "described"),
    [
        (b"cos\nsystem\n.", "os.system"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x02c__builtin__\neval\n.", "builtins.eval"),
    ],
)
def test_a_name_on_no_list_is_refused_as_it_is_called_today(data, described):
    with pytest.raises(RefusedError) as caught:
        read(data)
    assert caught.value.name == described


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cbuiltins\nset\n.",  # a listed function as a value
        b"\x80\x02]q\x00}b.",  # a state for a list
        b"\x80\x02}]a.",  # an item for a dictionary
        b"\x80\x02X\x01\x00\x00\x00a)R.",  # a call of a text
        b"\x80\x02(cbuiltins\nset\no.",  # OBJ
        b"(ibuiltins\nset\n.",  # INST
        b"\x80\x02\x82\x01.",  # the extension registry
        b"\x80\x02Pabc\n.",  # a persistent id as text
        b"\x80\x02}]}s.",  # a list as a key
    ],
)
def test_what_a_pickler_of_torch_does_not_write_is_refused(data):
    with pytest.raises((RefusedError, DamagedError)):
        read(data)


def test_work_is_held_against_the_size_of_the_pickle():
    items = b"(" + b"N" * 100_000 + b"l"
    call = b"cbuiltins\nlist\n" + b"0"
    copies = b"".join(b"c_codecs\nencode\n0ccollections\ndeque\nq\x01h\x00\x85R0" for _ in range(2000))
    data = b"\x80\x02" + call + items + b"q\x00" + copies + b"."
    with pytest.raises(DamagedError, match="far more work"):
        read(data)


@pytest.mark.parametrize("depth", [30, 500])
def test_tuples_that_double_are_one_error(depth):
    data = b"\x80\x02N\x85q\x00" + b"0h\x00h\x00\x86q\x00" * depth + b"."
    with pytest.raises(DamagedError, match=r"hold each other|nested"):
        read(data)


def test_a_list_that_holds_itself_is_one_error():
    with pytest.raises(DamagedError, match="holds itself"):
        read(b"\x80\x02]q\x00h\x00a.")


def test_long_keys_that_are_equal_are_work():
    long = b"X" + (200_000).to_bytes(4, "little") + b"k" * 200_000
    data = b"\x80\x02}q\x00" + long + b"q\x01Ns" + b"0" + long + b"q\x02" + b"0h\x00" + b"h\x02Ns" * 3000 + b"."
    with pytest.raises(DamagedError, match="far more work"):
        read(data)


def test_numbers_that_collide_are_no_keys():
    with pytest.raises(RefusedError, match="used as a key"):
        read(pickle.dumps({(2**61 - 1) * 3: 1}))


def test_names_of_a_pickle_are_listed_for_the_message():
    data = pickle.dumps([pickle.Pickler, io.BytesIO, OrderedDict], 4)
    names = names_in(data)
    assert names == ["_pickle.Pickler", "_io.BytesIO", "collections.OrderedDict"]
    assert unknown_names(names) == {"_pickle.Pickler", "_io.BytesIO"}


def test_a_partial_function_of_a_partial_function_is_refused_by_its_name():
    inner = b"cfunctools\npartial\nctorch.nn.functional\nrelu\n\x85R"
    with pytest.raises(RefusedError) as caught:
        read(b"\x80\x02cfunctools\npartial\n" + inner + b"\x85R.")
    assert caught.value.name == "functools.partial"
