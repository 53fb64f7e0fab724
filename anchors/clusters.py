"""K-means, where there may be fewer distinct points than clusters.

Lloyd 1982, "Least squares quantization in PCM"; Arthur & Vassilvitskii 2007, "k-means++".
"""

import warnings

from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from anchors.arrays import Matrix, Rows

ITERATIONS = 50


def clusters(points: Matrix, count: int, seed: int) -> tuple[Matrix, Rows]:
    """points (n, d) -> centroids (count, d), labels (n,); copies may leave a cluster empty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(count, n_init=1, max_iter=ITERATIONS, random_state=seed).fit(points)
    return fitted.cluster_centers_, fitted.labels_
