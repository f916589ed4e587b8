"""The same methods in PyTorch without a library, as a careful engineer writes them: `METHODS[name](net)(x[N 4 84 84])`.

They do what structure allows without leaving PyTorch: nothing below a layer is differentiated, a layer's path starts at
the layer. The parameters of `net` ask for no gradient.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional

from .nature_torch import Nature

Maps = Callable[[torch.Tensor], torch.Tensor]


def slope(score: Maps, x: torch.Tensor) -> torch.Tensor:
    """d score / dx for each example."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(score(x).sum(), x)[0]


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.clamp(min=0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        return g.clamp(min=0) * (ctx.saved_tensors[0] > 0)


class _Deconv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        return g.clamp(min=0)


class _As(nn.Module):
    def __init__(self, rule: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rule.apply(x)


def _ruled(net: Nature, rule: type[torch.autograd.Function]) -> Nature:
    """`net` with another backward rule in its ReLUs; the weights are shared."""
    twin = Nature(net.logits.out_features, lambda: _As(rule)).requires_grad_(False)
    twin.load_state_dict(net.state_dict(), assign=True)
    return twin


def _value(net: Nature) -> Maps:
    return lambda x: net.above("fc", net.below("fc", x))


def _ruled_gradient(net: Nature, rule: type[torch.autograd.Function]) -> Maps:
    twin = _ruled(net, rule)
    return lambda x: slope(_value(twin), x)


def _grad_cam(net: Nature) -> Maps:
    def cam(x):
        hidden = net.below("conv1", x)
        weights = slope(lambda h: net.above("conv1", h), hidden).mean((2, 3), keepdim=True)
        return (weights * hidden).sum(1).relu()

    return cam


def _guided_grad_cam(net: Nature) -> Maps:
    coarse, fine = _grad_cam(net), _ruled_gradient(net, _Guided)

    def both(x):
        cam = functional.interpolate(coarse(x)[:, None], x.shape[2:], mode="bilinear", align_corners=False)
        return cam * fine(x)

    return both


def _integrated(steps: int) -> Callable[[Nature], Maps]:
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    path = [(float(a + 1) / 2, float(w) / 2) for a, w in zip(nodes, weights, strict=True)]

    def make(net: Nature) -> Maps:
        return lambda x: x * sum(w * slope(_value(net), a * x) for a, w in path)

    return make


def _layer_integrated(net: Nature) -> Maps:
    """Ten steps from the zero activation of conv3; Captum's method of that name starts elsewhere."""

    def maps(x):
        hidden = net.below("conv3", x)
        return hidden * sum(slope(lambda h: net.above("conv3", h), k / 10 * hidden) for k in range(1, 11)) / 10

    return maps


def _occlusion(net: Nature) -> Maps:
    """All 400 windows of a frame in batches; the mean over the windows that cover a pixel."""
    starts = range(0, 77, 4)
    shown = torch.ones(len(starts) ** 2, 1, 84, 84)
    for k, (y, x) in enumerate((y, x) for y in starts for x in starts):
        shown[k, :, y : y + 8, x : x + 8] = 0
    covers = 1 - shown[:, 0]

    @torch.no_grad()
    def maps(x):
        clean = _value(net)(x)
        seen = [_in_parts(lambda at, f=frame: _value(net)(f * shown[at]), len(shown)) for frame in x]
        lost = clean[:, None] - torch.stack(seen)
        return torch.einsum("nk,khw->nhw", lost.float(), covers) / covers.sum(0)

    return maps


def _in_parts(passes: Callable[[slice], torch.Tensor], count: int, size: int = 100) -> torch.Tensor:
    return torch.cat([passes(slice(k, min(k + size, count))) for k in range(0, count, size)])


def _perturbation(net: Nature) -> Maps:
    """Greydanus' 289 masks of a frame in batches."""
    centres = range(0, 84, 5)
    masks = np.zeros((len(centres) ** 2, 84, 84))
    for k, (y, x) in enumerate((y, x) for y in centres for x in centres):
        for dy, dx in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            if 0 <= y + dy < 84 and 0 <= x + dx < 84:
                masks[k, y + dy, x + dx] = 1
        masks[k] = gaussian_filter(masks[k], 5)
        masks[k] /= masks[k].max()
    spots = torch.from_numpy(masks.astype(np.float32))[:, None]
    blur = torch.from_numpy(gaussian_filter(np.eye(84, dtype=np.float64), (3, 0)).astype(np.float32))

    @torch.no_grad()
    def maps(x):
        x = x.float()
        change = torch.einsum("ih,nchw,jw->ncij", blur, x, blur) - x
        grids = []
        for frame, delta in zip(x, change, strict=True):
            clean = _value(net)(frame[None])
            seen = _in_parts(lambda at, f=frame, d=delta: _value(net)(f + spots[at] * d), len(spots), 97)
            grids.append((0.5 * (seen - clean) ** 2).reshape(len(centres), len(centres)))
        return torch.stack(grids)

    return maps


def _perturbation_loop(net: Nature) -> Maps:
    """As Greydanus' own code: one frame, one mask, one pass, 289 times."""
    centres = range(0, 84, 5)
    masks = []
    for y, x in ((y, x) for y in centres for x in centres):
        mask = np.zeros((84, 84))
        for dy, dx in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            if 0 <= y + dy < 84 and 0 <= x + dx < 84:
                mask[y + dy, x + dx] = 1
        mask = gaussian_filter(mask, 5)
        masks.append(torch.from_numpy((mask / mask.max()).astype(np.float32)))

    @torch.no_grad()
    def maps(x):
        grids = torch.zeros(len(x), len(centres), len(centres))
        for n, frame in enumerate(x):
            clean = _value(net)(frame[None])
            blurred = torch.from_numpy(np.stack([gaussian_filter(channel, 3) for channel in frame.numpy()]))
            for k, mask in enumerate(masks):
                seen = _value(net)((frame * (1 - mask) + blurred * mask)[None])
                grids[n, k // len(centres), k % len(centres)] = 0.5 * (seen - clean) ** 2
        return grids

    return maps


def rise_masks() -> np.ndarray:
    """256 masks of 7x7 cells [N H W], shifted and smoothed by bilinear upsampling; both sides take these."""
    cells = torch.from_numpy((np.random.default_rng(0).random((256, 1, 8, 8)) < 0.5).astype(np.float32))
    return functional.interpolate(cells, (84, 84), mode="bilinear", align_corners=False)[:, 0].numpy()


def _rise(net: Nature) -> Maps:
    masks = torch.from_numpy(rise_masks())[:, None]
    whole = masks[:, 0].sum(0)

    @torch.no_grad()
    def maps(x):
        seen = torch.stack([_in_parts(lambda at, f=frame: _value(net)(f * masks[at]), len(masks), 128) for frame in x])
        return torch.einsum("nk,khw->nhw", seen.float(), masks[:, 0]) / whole

    return maps


def _smooth_grad(drawn: slice) -> Callable[[Nature], Maps]:
    """Noise for the frames `drawn` of a batch: for all of them, or for one of them and shared."""
    return lambda net: lambda x: sum(slope(_value(net), x + 38.0 * torch.randn_like(x[drawn])) for _ in range(16)) / 16


METHODS: dict[str, Callable[[Nature], Maps]] = {
    "gradient": lambda net: lambda x: slope(_value(net), x),
    "input_x_gradient": lambda net: lambda x: x * slope(_value(net), x),
    "guided_backprop": lambda net: _ruled_gradient(net, _Guided),
    "deconvnet": lambda net: _ruled_gradient(net, _Deconv),
    "grad_cam_conv1": _grad_cam,
    "guided_grad_cam_conv1": _guided_grad_cam,
    "integrated_gradients_10": _integrated(10),
    "integrated_gradients_50": _integrated(50),
    "layer_integrated_gradients_conv3": _layer_integrated,
    "occlusion_8_4": _occlusion,
    "perturbation_289": _perturbation,
    "perturbation_289_loop": _perturbation_loop,
    "rise_256": _rise,
    "smooth_grad_16": _smooth_grad(slice(1)),
    "smooth_grad_16_own_noise": _smooth_grad(slice(None)),
}
