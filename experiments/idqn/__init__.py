"""Annasamy & Sycara 2019: towards better interpretability in deep Q-networks."""
