"""Transforms of any pure JAX function: name, read and edit what is hidden in it, give it another backward pass, cut it
in two, make its convolutions fast. Each returns a function of the same arguments, so they compose with one another.

    out, hidden = activations(f, ["conv2"])(params, obs)
    saliency = jax.grad(lambda obs: guided(f)(params, obs).value)(obs)

They stage `f` and walk its equations: through jit, remat, scan, cond and while_loop, on linen, nnx, equinox, haiku or
plain functions. Sharp edges:

- `fuse` comes last, on a program that is differentiated and batched already.
- They act on the forward program: `grad(guided(f))`, never `guided(grad(f))`, whose backward pass stands already. That is
  an error wherever it can be seen; it is seen by the names that jax gives to differentiated equations.
- A ReLU is `jax.nn.relu`, `nn.relu`, `nnx.relu` or `jnp.maximum(x, 0)`; not `where(x > 0, x, 0)`, `x * (x > 0)`, relu6 or
  leaky_relu. None at all is an error; look at `relu_count(f)(*args)` to see that it is all of them. One in the body of a
  scan counts once, one in each branch of a cond counts for each. `guided` and `deconv` have no forward-mode derivative.
- Tags inside a scan are read stacked, [T ...]; an edit sees one step. Branches of a cond must hold the same tags to be
  read. In a while_loop tags can be edited, not read. Inside custom_jvp, custom_vjp and shard_map nothing is reached:
  apply the transform inside.
- A name stands once in a function: a module that is used twice needs a name for each use. A backward pass repeats the tags
  of what it computes again (remat), so read and edit before differentiating.
- `x = tag(x, name)`: a tag whose result is not used can be read, but editing it changes nothing.
- An inner vmap puts its axis in front of the tagged array.
- jit and remat inside `f` are kept by all but `at_layer` (remat around the layer) and `linear_prefix`, which write them
  out; explicit shardings of an inner jit are not kept.
- `f` is staged at every call, as `jax.grad` does: put jit outermost. Arguments are arrays; bind options with a closure.
"""

from rljax_viz.transforms._interpret import Rule, bind
from rljax_viz.transforms.at_layer import at_layer
from rljax_viz.transforms.channel_slope import channel_slope
from rljax_viz.transforms.fast_convs import ConvReport, conv_report, fast_convs
from rljax_viz.transforms.fuse import fuse
from rljax_viz.transforms.hoist import hoist
from rljax_viz.transforms.linear_prefix import linear_prefix
from rljax_viz.transforms.pairs import rescaled
from rljax_viz.transforms.relevance import epsilon_rule, z_plus_rule
from rljax_viz.transforms.relu import deconv, guided, relu_backward, relu_count, relu_operand
from rljax_viz.transforms.rewrite import rewrite
from rljax_viz.transforms.separable_prefix import separable_prefix
from rljax_viz.transforms.tag import activations, intervene, tag, tags

__all__ = [
    "ConvReport",
    "Rule",
    "activations",
    "at_layer",
    "bind",
    "channel_slope",
    "conv_report",
    "deconv",
    "epsilon_rule",
    "fast_convs",
    "fuse",
    "guided",
    "hoist",
    "intervene",
    "linear_prefix",
    "relu_backward",
    "relu_count",
    "relu_operand",
    "rescaled",
    "rewrite",
    "separable_prefix",
    "tag",
    "tags",
    "z_plus_rule",
]
