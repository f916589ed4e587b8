"""Many points in few dimensions."""

import numpy as np


def tsne(points: np.ndarray, perplexity: float = 75.0, seed: int = 0, iterations: int = 1000) -> np.ndarray:
    """points[N E] laid out in the plane, [N 2], neighbours near each other: t-SNE, by scikit-learn (extra `analysis`).

    Van der Maaten & Hinton 2008. Points that shall be compared (states and keys) go in together. Annasamy & Sycara 2019 run
    3,000 iterations with a perplexity of 75, and 300 with 40 for colour frames (FACTS I11); the default of 1,000 is
    scikit-learn's.
    Raises ImportError with the fix where scikit-learn is absent; ValueError for fewer points than `perplexity`.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError("t-SNE needs scikit-learn: pip install 'rljax-viz[analysis]'") from error
    points = np.asarray(points, np.float32)
    if points.ndim != 2 or len(points) <= perplexity:
        raise ValueError(
            f"t-SNE lays out points [N E], more than perplexity={perplexity:g} of them; got shape {points.shape}"
        )
    layout = TSNE(2, perplexity=perplexity, random_state=seed, max_iter=iterations, init="pca", n_jobs=2)
    return layout.fit_transform(points)
