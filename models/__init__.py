"""What is learned: translation methods, their choice and their report. Pure functions of arrays."""

from models.affine import Affine
from models.base import Method
from models.estimate import Report, estimate
from models.identity import untranslated
from models.measures import OBJECTIVES, Estimate
from models.registry import METHODS

__all__ = ["METHODS", "OBJECTIVES", "Affine", "Estimate", "Method", "Report", "estimate", "untranslated"]
