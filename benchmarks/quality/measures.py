"""How well a translation did; larger is better, from 0 to 1. What is not a number is far from everything."""

import numpy as np


def mrr(similarity: np.ndarray) -> float:
    """(m, m), own counterparts on the diagonal; ties count half."""
    similarity = numbers(similarity)
    own = similarity.diagonal()[:, None]
    above, equal = (similarity > own).sum(1), (similarity == own).sum(1) - 1
    return float((1 / (1 + above + equal / 2)).mean())


def class_hit(similarity: np.ndarray, labels: np.ndarray) -> float:
    """(m, m), labels (m,): share of queries whose nearest is of their class."""
    return float((labels[numbers(similarity).argmax(1)] == labels).mean())


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """(m, classes), (m,)"""
    return float((numbers(logits).argmax(1) == labels).mean())


def numbers(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), -np.inf, values)
