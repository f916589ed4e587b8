"""An LSTM along a sequence in which episodes begin."""

import itertools

import torch
from torch import nn

Carry = tuple[torch.Tensor, torch.Tensor]


def empty(lstm: nn.LSTM | nn.LSTMCell, games: int) -> Carry:
    """`(h, c)` [B H] of `games` empty memories."""
    return torch.zeros(games, lstm.hidden_size), torch.zeros(games, lstm.hidden_size)


def emptied(carry: Carry, fresh: torch.Tensor) -> Carry:
    """`carry`, zero where `fresh[B]`."""
    kept = 1.0 - fresh.float()[:, None]
    return carry[0] * kept, carry[1] * kept


def along(lstm: nn.LSTM, x: torch.Tensor, carry: Carry, fresh: torch.Tensor) -> tuple[torch.Tensor, Carry]:
    """`(h[T B H], carry)` for x[T B I], emptied where fresh[T B].

    CleanRL calls the LSTM at every step. Here one call takes all steps up to the next at which any game begins an episode,
    which computes the products with the input together: on a CPU several times as fast.
    """
    begins = fresh.any(1).tolist()
    cuts = [0, *(t for t in range(1, len(x)) if begins[t]), len(x)]
    found = []
    for first, end in itertools.pairwise(cuts):
        h, c = emptied(carry, fresh[first])
        out, (h, c) = lstm(x[first:end], (h[None], c[None]))
        carry = h[0], c[0]
        found.append(out)
    return (torch.cat(found) if len(found) > 1 else found[0]), carry
