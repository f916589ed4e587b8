"""Which pixels a unit of a convolutional layer sees."""

import operator
from collections.abc import Sequence
from typing import NamedTuple


class ReceptiveField(NamedTuple):
    """Unit i of a layer sees the pixels i*stride - padding ... i*stride - padding + size - 1 of the frame."""

    size: int
    stride: int
    padding: int


def receptive_field(kernels: Sequence[int], strides: Sequence[int], paddings: Sequence[int]) -> ReceptiveField:
    """The receptive field of a chain of convolutions, as ONE convolution with the same size, stride and padding.

    kernels, strides, paddings: one number a layer, first layer first, in pixels -> (size, stride, padding).
    Araujo, Norris and Sim 2019, doi:10.23915/distill.00021. Nature: (36, 8, 0); Free-Lunch dense (SAME): (13, 1, 6).
    Raises ValueError for lists of unequal length or numbers that no convolution has.
    """
    if not len(kernels) == len(strides) == len(paddings):
        raise ValueError(
            f"receptive_field needs one kernel, stride and padding a layer, got {len(kernels)}, {len(strides)} and "
            f"{len(paddings)} of them; e.g. receptive_field([8, 4, 3], [4, 2, 1], [0, 0, 0])"
        )
    size, stride, padding = 1, 1, 0
    for layer in zip(kernels, strides, paddings, strict=True):
        k, s, p = map(operator.index, layer)
        if k < 1 or s < 1 or p < 0:
            raise ValueError(f"no convolution has kernel {k}, stride {s}, padding {p}; kernel and stride start at 1")
        size += (k - 1) * stride
        padding += p * stride
        stride *= s
    return ReceptiveField(size, stride, padding)
