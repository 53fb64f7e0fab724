"""What the papers report of stitching, on data and encoders of their own: for orientation beside our table."""

from dataclasses import dataclass

RELREPS = "Moschella et al. 2023, relative representations"
TRANSLATION = "Maiorca et al. 2023, latent translation"


@dataclass(frozen=True)
class Reported:
    """Accuracy or F1, in percent, by what was done."""

    paper: str
    data: str
    native: float
    unstitched: float | None
    stitched: dict[str, float]


REPORTED = [
    Reported(RELREPS, "CIFAR-100, ViT-base ← ViT-R50", 93.15, 6.21, {"relative": 81.42}),
    Reported(RELREPS, "CIFAR-100, ViT-base ← ViT-small", 93.15, None, {"relative": 84.29}),
    Reported(RELREPS, "CIFAR-100, ViT-R50 ← ViT-base", 91.41, 4.69, {"relative": 84.46}),
    Reported(RELREPS, "CIFAR-100, RexNet ← ViT-base", 82.06, None, {"relative": 54.98}),
    Reported(RELREPS, "ImageNet1k, ViT-base ← ViT-R50", 80.91, 0.07, {"relative": 44.72}),
    Reported(RELREPS, "ImageNet1k, ViT-R50 ← ViT-base", 82.55, 0.08, {"relative": 62.21}),
    Reported(RELREPS, "TREC", 91.70, 21.49, {"relative": 75.89}),
    Reported(RELREPS, "DBpedia", 98.62, 6.96, {"relative": 80.47}),
    Reported(RELREPS, "Amazon, coarse", 87.81, 49.58, {"relative": 72.37}),
    Reported(RELREPS, "Amazon, fine", 55.35, 19.01, {"relative": 33.24}),
    *(
        Reported(TRANSLATION, data, native, unstitched, {"relative": relative, "affine": affine, "ortho": ortho})
        for data, native, unstitched, relative, affine, ortho in (
            ("CIFAR10", 95.0, 16.0, 80.0, 92.0, 93.0),
            ("CIFAR100, coarse", 85.0, 11.0, 54.0, 78.0, 81.0),
            ("CIFAR100, fine", 76.0, 7.0, 30.0, 68.0, 71.0),
            ("F-MNIST", 88.0, 15.0, 63.0, 86.0, 85.0),
            ("MNIST", 96.0, 15.0, 50.0, 94.0, 91.0),
            ("TREC", 87.0, 20.0, 36.0, 82.0, 79.0),
            ("AG News", 73.0, 25.0, 39.0, 65.0, 66.0),
            ("DBpedia", 78.0, 7.0, 16.0, 66.0, 66.0),
            ("IMDB", 61.0, 50.0, 51.0, 59.0, 59.0),
        )
    ),
]
