"""Networks with named hidden activations: linen modules, plain `nn.Conv` inside, one architecture a file.

    net = networks.make("nature", num_actions=4)
    params = net.init(key, obs)          # ONE observation [H W C], uint8 or float32, 0..255
    out = net.apply(params, obs)         # an Output
"""

from rljax_viz.networks.idqn import decode, read_values
from rljax_viz.networks.output import Output
from rljax_viz.networks.registry import ATTENTION, MIXED, NAMES, RECURRENT, make, options_of

__all__ = ["ATTENTION", "MIXED", "NAMES", "RECURRENT", "Output", "decode", "make", "options_of", "read_values"]
