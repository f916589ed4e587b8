"""Nikulin et al. 2019, "Free-Lunch Saliency via Attention in Atari Agents", arXiv:1908.02511."""
