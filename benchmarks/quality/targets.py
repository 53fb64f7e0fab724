"""What the figures have to reach."""

MRR = {"fashion_mnist": 0.69, "ag_news": 0.40, "cora": 0.40, "fsdd": 0.66, "multi30k_en_de": 0.72}
ACCURACY = {"fashion_mnist": 0.825, "ag_news": 0.84, "cora": 0.862, "fsdd": 0.946, "crossmodal_digits": 0.925}
ANCHORS = 300  # that both are for: means over all ordered pairs
SLACK = 0.005  # how far below the best peer of its pair any pair may be, at every number of anchors
RIDGE = "ridge_loo"  # that no pair's accuracy may be more than SLACK below
FEW, TIMES = 30, 2.0  # with few anchors, the MRR is at least so many times the best peer's
PLAIN = ("latentis_ortho", "latentis_linear", "latentis_l_ortho", "procrustes", "ridge_gcv")  # and these are peers
SIGNAL = 0.25  # a pair carries identity where somebody's MRR reaches it with the most anchors measured
