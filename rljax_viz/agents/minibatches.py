"""Every sample once an epoch, in random order."""

import chex
import jax


def minibatches(key: jax.Array, batch: chex.ArrayTree, number: int) -> chex.ArrayTree:
    """`batch[T B ...]` as `[number, T * B / number, ...]`, each sample in exactly one minibatch, order from `key`.

    Raises ValueError where the samples do not divide evenly.
    """
    steps, envs = jax.tree.leaves(batch)[0].shape[:2]
    size = steps * envs
    if size % number:
        raise ValueError(
            f"{steps} steps x {envs} environments = {size} samples do not divide into {number} minibatches; "
            "change num_steps, num_envs or num_minibatches"
        )
    order = jax.random.permutation(key, size).reshape(number, -1)
    return jax.tree.map(lambda x: x.reshape(size, *x.shape[2:])[order], batch)
