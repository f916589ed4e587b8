"""Rosynski et al. 2020, "Are Gradient-based Saliency Maps Useful in Deep Reinforcement Learning?", arXiv:2012.01281."""
