"""What the figures have to reach."""

ANCHORS = 300  # that all of it is for
RETENTION = 0.985  # stitched over native accuracy, mean over the pairs of a file
FILES = ("fashion_mnist", "ag_news", "cora", "fsdd")
POINTS = 0.05  # accuracy of relative heads above those of plain cosine, mean over the pairs of a file
RIDGE = "ridge_loo"  # whose error of decoded images no pair may pass
