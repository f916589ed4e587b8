"""Do decoded keys say what the agent does? The agreement of actions chosen in the image space and in the latent space."""

import jax
import jax.numpy as jnp


def image_space_action(
    state: jax.Array, images: jax.Array, values: jax.Array, exploration: float = 0.0
) -> jax.Array:
    """The action that decoded keys speak for: state[H W C], images[A N H W C] of the keys, values[N] -> int32.

    Cosine similarities, a softmax over the N keys of each action (no temperature), then q' (and lambda_exp u') as in
    the latent space. Annasamy & Sycara 2019, section "Evaluating the reconstructions", arXiv:1809.05630. Both must be in
    the same form: centred, or as frames of 0..255; the answer depends on which (FACTS I12). An image of zeros is similar to
    nothing.
    """
    flat = state.reshape(-1).astype(jnp.float32)  # products of uint8 would overflow
    rows = images.reshape(*images.shape[:2], -1).astype(jnp.float32)
    norms = jnp.linalg.norm(rows, axis=-1) * jnp.linalg.norm(flat)
    cosine = jnp.where(norms > 0, rows @ flat / jnp.where(norms > 0, norms, 1.0), 0.0)
    weights = jax.nn.softmax(cosine, axis=-1)
    q = weights @ values
    spread = jnp.sqrt(jnp.maximum(weights @ values**2 - q**2, 0.0))
    return (q + exploration * spread).argmax(-1).astype(jnp.int32)


def agreement(
    states: jax.Array, actions: jax.Array, images: jax.Array, values: jax.Array, exploration: float = 0.0
) -> jax.Array:
    """The part of states[M H W C] in which the decoded keys choose the action that the agent took, actions[M]: in 0..1.

    Annasamy & Sycara 2019, table 2 (there in percent); chance is 1 / A. See `image_space_action`.
    Raises ValueError unless there is one action for each state.
    """
    if jnp.shape(actions) != states.shape[:1]:
        raise ValueError(
            f"actions are [M], one for each of the {len(states)} states; got {jnp.shape(actions)}: actions.reshape(-1)?"
        )
    chosen = jax.lax.map(lambda s: image_space_action(s, images, values, exploration), states, batch_size=32)
    return (chosen == actions).mean()
