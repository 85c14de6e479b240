"""The table of metrics: everything that this project computes of an encoder, one entry a figure.

Sources marked "in code" were read in published code, not in the paper itself; the functions' own
documentation says where.
"""

from selector.metrics.metric import LabelFreeMetric, LabelledMetric

AUGMENTATIONS = (
    "crop_scale_min", "flip_probability", "jitter_strength", "jitter_probability", "grayscale_probability",
    "blur_probability",
)  # fmt: skip
SAME_TRAINING = ("method", "dataset", "backbone", "backbone_width")
# The fields of `comparable` that are found in the run's config; the others are in its metric definition.
CONFIG_FIELDS = frozenset({*SAME_TRAINING, *AUGMENTATIONS})
_SAME_PROJECTOR = (*SAME_TRAINING, "projector_dim", "rankme_images")
_SAME_BACKBONE = (*SAME_TRAINING, "backbone_dim", "evaluation_images")
# Views that differ less are easier to bring together: another augmentation is another task.
_SAME_VIEWS = (*SAME_TRAINING, "projector_dim", "lidar_images", "lidar_views", *AUGMENTATIONS)
# Accuracies of unlike methods and encoders may be compared: that is what they are for.
_SAME_TEST = ("dataset", "evaluation_images")

_BACKBONE = "backbone, evaluation split"
_PROJECTOR = "projector, training split"
_VIEWS = "projector, views of training images"
_Z3 = "3-d UMAP of the backbone, evaluation split"

_RANKME = ("rankme_eps", "rankme_centred")
_UMAP = ("umap_neighbors", "umap_seeds", "umap_components", "umap_min_dist", "umap_metric")
_CLUSTERS = (*_UMAP, "clusters", "kmeans_restarts")
_SUBSET = ("pairwise_max_images", "pairwise_seed")
_CLID = (*_SUBSET, "clid_clusters", "clid_neighbors", "clid_seed")

_ONE_SVD = "one SVD a space, shared"
_LAYOUTS = "UMAP, once a seed"
_CLUSTERINGS = "k-means on the UMAP points"

_XU = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612"
_GARRIDO = "Garrido et al. 2023, arXiv:2210.02885, equation 1"
_TSITSULIN = "Tsitsulin et al. 2023, arXiv:2305.16562, in the authors' code"
_WANG = "Wang & Isola 2020, arXiv:2005.10242"
_CHEN = "Chen & He 2021, arXiv:2011.10566, section 4.1, in lightly's code"
_LU = "Lu et al. 2022, arXiv:2206.01251, in third-party code"

METRICS: tuple[LabelFreeMetric | LabelledMetric, ...] = (
    LabelFreeMetric(
        name="rankme",
        symbol="RankMe(Z_projector)",
        meaning="How many directions the projections of the training images use.",
        formula="exp(-Σ p ln p), p = σ/Σσ + 1e-7, not centred",
        space=_PROJECTOR,
        direction="max",
        cost=_ONE_SVD,
        source=_GARRIDO,
        comparable=_SAME_PROJECTOR,
        settings=("rankme_split", *_RANKME),
    ),
    LabelFreeMetric(
        name="rankme_backbone",
        symbol="RankMe(Z_backbone)",
        meaning="How many directions the representations of the evaluation images use.",
        formula="exp(-Σ p ln p), p = σ/Σσ + 1e-7, not centred",
        space=_BACKBONE,
        direction="max",
        cost=_ONE_SVD,
        source=f"{_GARRIDO}, on representations",
        comparable=_SAME_BACKBONE,
        settings=_RANKME,
    ),
    LabelFreeMetric(
        name="entropy",
        symbol="H(Z3)",
        meaning="How evenly the images fill the space of their UMAP points; low means few dense places.",
        formula="-Σ p ln p over boxes of 0.4 standard deviations a side, in nats",
        space=_Z3,
        direction="min",
        direction_for={"simsiam": "max"},
        cost=_LAYOUTS,
        source=f"{_XU}, section III-C; directions from Table I",
        comparable=_SAME_BACKBONE,
        settings=(*_UMAP, "entropy_bin_width"),
    ),
    LabelFreeMetric(
        name="entropy_robust",
        symbol="H_MAD(Z3)",
        meaning="The entropy with a scale that a few distant points do not move.",
        formula="as entropy, with 1.4826 · median absolute deviation for the standard deviation",
        space=_Z3,
        direction="min",
        direction_for={"simsiam": "max"},
        cost=_LAYOUTS,
        source="ours, after section IV of the paper, which finds outliers in early training",
        comparable=_SAME_BACKBONE,
        settings=(*_UMAP, "entropy_bin_width"),
    ),
    LabelFreeMetric(
        name="outlier_share",
        symbol="outliers(Z3)",
        meaning="How many UMAP points lie far from all others: where there are some, entropy comes out low.",
        formula="share farther from the median than 4 times the median distance",
        space=_Z3,
        direction="min",
        cost=_LAYOUTS,
        source="ours, after section IV of the paper, which finds outliers in early training",
        comparable=_SAME_BACKBONE,
        settings=_UMAP,
    ),
    LabelFreeMetric(
        name="silhouette",
        symbol="S_1",
        meaning="How tight and far apart the clusters are that k-means finds.",
        formula="mean (b - a)/max(a, b), distances to own and nearest other cluster, from Z3",
        space=_BACKBONE,
        direction="max",
        cost="distances of all pairs",
        source=f"{_XU}, section III-C",
        comparable=_SAME_BACKBONE,
        settings=_CLUSTERS,
    ),
    LabelFreeMetric(
        name="silhouette_umap",
        symbol="S_1(Z3)",
        meaning="How tight and far apart the clusters of k-means are where k-means found them.",
        formula="as silhouette, distances in Z3 too",
        space=_Z3,
        direction="max",
        cost="distances of all pairs, in 3-d",
        source="Lowe et al. 2024, arXiv:2406.02465: silhouettes in UMAP space follow AMI with the classes",
        comparable=_SAME_BACKBONE,
        settings=_CLUSTERS,
    ),
    LabelFreeMetric(
        name="clustering_agreement",
        symbol="AMI(C_1, C_2)",
        meaning="How well two k-means clusterings agree, one with twice the clusters of the other.",
        formula="(I - E[I]) / ((H_1 + H_2)/2 - E[I])",
        space=_Z3,
        direction="max",
        cost=_CLUSTERINGS,
        source=f"{_XU}, section III-C, equation 4",
        comparable=_SAME_BACKBONE,
        settings=_CLUSTERS,
    ),
    LabelFreeMetric(
        name="alpha_req_score",
        symbol="-|α - 1|",
        meaning="How near the eigenvalues of the covariance fall off like one over their rank.",
        formula="λ_j ~ j^-α, least squares in logarithms over ranks 11 to 100, weights 1/j",
        space=_BACKBONE,
        direction="max",
        cost=_ONE_SVD,
        source="Agrawal et al. 2022, α-ReQ, in the authors' code",
        comparable=_SAME_BACKBONE,
        settings=("alpha_req_first", "alpha_req_last"),
    ),
    LabelFreeMetric(
        name="nesum",
        symbol="NESum",
        meaning="How much varies beside the strongest direction; its authors find too much is bad as well.",
        formula="Σ λ / λ_1 of the covariance",
        space=_BACKBONE,
        direction="max",
        cost=_ONE_SVD,
        source="He & Ozay 2022, definition 4.1, in code that cites it",
        comparable=_SAME_BACKBONE,
    ),
    LabelFreeMetric(
        name="stable_rank",
        symbol="stable rank",
        meaning="How many directions are used, so that small singular values cannot inflate it.",
        formula="‖X‖²_F / σ_1², not centred",
        space=_BACKBONE,
        direction="max",
        cost=_ONE_SVD,
        source=_TSITSULIN,
        comparable=_SAME_BACKBONE,
    ),
    LabelFreeMetric(
        name="participation_ratio",
        symbol="PR",
        meaning="How many directions vary.",
        formula="(Σ λ)² / Σ λ² of the covariance",
        space=_BACKBONE,
        direction="max",
        cost=_ONE_SVD,
        source="Gao et al. 2017",
        comparable=_SAME_BACKBONE,
    ),
    LabelFreeMetric(
        name="condition_number",
        symbol="κ",
        meaning="How much more the strongest direction varies than the weakest.",
        formula="σ_1 / σ_min, centred",
        space=_BACKBONE,
        direction="min",
        cost=_ONE_SVD,
        source=_TSITSULIN,
        comparable=_SAME_BACKBONE,
    ),
    LabelFreeMetric(
        name="self_clustering",
        symbol="self-clustering",
        meaning="How far the directions of the images crowd together: 0 by chance, 1 for one line.",
        formula="(Q - E)/(N² - E), Q the sum of squared cosines, E = N + N(N - 1)/D",
        space=_BACKBONE,
        direction="min",
        cost="one product, N D²",
        source=f"{_TSITSULIN}, definition 3.5",
        comparable=_SAME_BACKBONE,
    ),
    LabelFreeMetric(
        name="cluster_learnability",
        symbol="CL",
        meaning="How well the nearest image names the k-means cluster of an image held out.",
        formula="accuracy of 1-NN by cosine on half of the images, √N clusters",
        space=_BACKBONE,
        direction="max",
        cost="k-means, neighbours; 5,000 images",
        source=_LU,
        comparable=_SAME_BACKBONE,
        settings=_CLID,
    ),
    LabelFreeMetric(
        name="clid",
        symbol="CLID",
        meaning="How learnable the clusters are, and how many dimensions the images spread over.",
        formula="CL + ID/D, ID by the two nearest neighbours (TwoNN)",
        space=_BACKBONE,
        direction="max",
        cost="k-means, neighbours; 5,000 images",
        source=_LU,
        comparable=_SAME_BACKBONE,
        settings=(*_CLID, "twonn_discard"),
    ),
    LabelFreeMetric(
        name="idest",
        symbol="IdEst",
        meaning="Intrinsic dimension of the images; its authors find it uninformative in early epochs.",
        formula="1/(1 - m), m the slope of ln(spanning tree length) on ln(images)",
        space=_BACKBONE,
        direction="min",
        cost="15 spanning trees; 5,000 images",
        source="Mordacq et al. 2026, arXiv:2606.03338, section 3.2",
        comparable=_SAME_BACKBONE,
        settings=(*_SUBSET, "idest_seed"),
    ),
    LabelFreeMetric(
        name="uniformity",
        symbol="L_uniform",
        meaning="How unevenly the directions of the projections fill the sphere.",
        formula="ln mean exp(-2 ‖u - v‖²) over all pairs, as unit vectors",
        space=_PROJECTOR,
        direction="min",
        cost="all pairs; 5,000 images",
        source=f"{_WANG}, equation 2",
        comparable=_SAME_PROJECTOR,
        settings=("rankme_split", *_SUBSET, "uniformity_t"),
    ),
    LabelFreeMetric(
        name="alignment",
        symbol="L_align",
        meaning="How far apart two views of an image are; read it beside uniformity.",
        formula="mean ‖u_a - u_b‖² over the pairs of views of an image, as unit vectors",
        space=_VIEWS,
        direction="min",
        cost="10 views of 1,000 images",
        source=f"{_WANG}, equation 1",
        comparable=_SAME_VIEWS,
        settings=("alignment_alpha", "view_source"),
    ),
    LabelFreeMetric(
        name="lidar",
        symbol="LiDAR",
        meaning="How many directions tell images apart better than they tell views of one image apart.",
        formula="exp(-Σ p ln p), p = λ/Σλ + 1e-7, λ of Sw^-1/2 Sb Sw^-1/2, Sw with 1e-4 on its diagonal",
        space=_VIEWS,
        direction="max",
        cost="10 views of 1,000 images",
        source="Thilak et al. 2023, arXiv:2312.04000",
        comparable=_SAME_VIEWS,
        settings=("lidar_delta", "lidar_eps", "view_source"),
    ),
    LabelFreeMetric(
        name="channel_std",
        symbol="std(z/‖z‖)",
        meaning="How much a channel of the projections varies: 0 in complete collapse, about 1/√D if spread.",
        formula="mean over channels of the standard deviation of z/‖z‖",
        space=_PROJECTOR,
        direction="max",
        cost="two passes, N D",
        source=_CHEN,
        comparable=_SAME_PROJECTOR,
        settings=("rankme_split",),
    ),
    LabelFreeMetric(
        name="collapse_level",
        symbol="collapse level",
        meaning="The same from 0, evenly spread directions, to 1, complete collapse.",
        formula="max(0, 1 - √D · std(z/‖z‖))",
        space=_PROJECTOR,
        direction="min",
        cost="two passes, N D",
        source=_CHEN,
        comparable=_SAME_PROJECTOR,
        settings=("rankme_split",),
    ),
    LabelledMetric(
        name="linear_probe_accuracy",
        symbol="LP",
        meaning="Accuracy of a linear classifier on the frozen representations.",
        formula="paper: Adam, 20 augmented epochs; fast: logistic regression",
        space=_BACKBONE,
        direction="max",
        cost="20 augmented passes (fast: one)",
        source=f"{_XU}, section III-E",
        comparable=_SAME_TEST,
        settings=("probe",),
    ),
    LabelledMetric(
        name="knn_accuracy",
        symbol="kNN",
        meaning="Accuracy of a vote among the nearest training images.",
        formula="votes weighted by exp(cosine / temperature)",
        space=_BACKBONE,
        direction="max",
        cost="one pass over the training images",
        source="Wu et al. 2018, arXiv:1805.01978, section 3.4",
        comparable=_SAME_TEST,
        settings=("knn_neighbors", "knn_temperature"),
    ),
    LabelledMetric(
        name="ami_labels",
        symbol="AMI(C_1, C_GT)",
        meaning="How well the clusters that k-means finds agree with the classes.",
        formula="(I - E[I]) / ((H_1 + H_GT)/2 - E[I])",
        space=_Z3,
        direction="max",
        cost=_CLUSTERINGS,
        source=f"{_XU}, section III-C, equation 4",
        comparable=_SAME_BACKBONE,
        settings=_CLUSTERS,
    ),
    LabelledMetric(
        name="silhouette_labels",
        symbol="S_GT",
        meaning="How tight and far apart the classes are.",
        formula="as silhouette, of the classes",
        space=_BACKBONE,
        direction="max",
        cost="distances of all pairs",
        source=f"{_XU}, section III-C",
        comparable=_SAME_BACKBONE,
    ),
)
