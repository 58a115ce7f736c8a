from hypothesis import given, strategies as st

from medsegany.propagation._asking import in_turn


def test_objects_prompted_on_one_slice_take_it_together():
    assert list(in_turn({1: [5, 9], 2: [9], 3: [5]})) == [(5, [1, 3]), (9, [1, 2])]


def test_opposite_orders_are_both_kept():
    assert list(in_turn({1: [9, 2], 2: [2, 9]})) == [(9, [1]), (2, [1, 2]), (9, [2])]


@given(st.dictionaries(st.integers(1, 5), st.lists(st.integers(0, 6), unique=True, min_size=1)))
def test_every_object_keeps_its_order_and_misses_nothing(slices):
    met = {name: [] for name in slices}
    for k, names in in_turn(slices):
        for name in names:
            met[name].append(k)
    assert met == slices
