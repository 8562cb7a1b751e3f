"""The papers behind recipes and parts, as BibTeX: what to cite for a model that was put together here."""

from collections.abc import Iterable

from isthmus.recipe import Recipe
from isthmus.zoo import RECIPES

PAPERS: dict[str, str] = {
    "baldi1989": """@article{baldi1989,
  title = {Neural Networks and Principal Component Analysis: Learning from Examples without Local Minima},
  author = {Baldi, Pierre and Hornik, Kurt}, journal = {Neural Networks}, volume = {2}, number = {1},
  pages = {53--58}, year = {1989}}""",
    "hinton2006": """@article{hinton2006,
  title = {Reducing the Dimensionality of Data with Neural Networks},
  author = {Hinton, Geoffrey E. and Salakhutdinov, Ruslan R.}, journal = {Science}, volume = {313},
  number = {5786}, pages = {504--507}, year = {2006}}""",
    "chollet2016": """@misc{chollet2016,
  title = {Building Autoencoders in {Keras}}, author = {Chollet, Fran{\\c{c}}ois},
  howpublished = {The Keras Blog}, year = {2016}}""",
    "goodfellow2016": """@book{goodfellow2016,
  title = {Deep Learning}, author = {Goodfellow, Ian and Bengio, Yoshua and Courville, Aaron},
  publisher = {MIT Press}, year = {2016}}""",
    "radford2016": """@inproceedings{radford2016,
  title = {Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks},
  author = {Radford, Alec and Metz, Luke and Chintala, Soumith}, booktitle = {ICLR}, year = {2016}}""",
    "vincent2008": """@inproceedings{vincent2008,
  title = {Extracting and Composing Robust Features with Denoising Autoencoders},
  author = {Vincent, Pascal and Larochelle, Hugo and Bengio, Yoshua and Manzagol, Pierre-Antoine},
  booktitle = {ICML}, pages = {1096--1103}, year = {2008}}""",
    "vincent2010": """@article{vincent2010,
  title = {Stacked Denoising Autoencoders: Learning Useful Representations in a Deep Network with a Local
    Denoising Criterion},
  author = {Vincent, Pascal and Larochelle, Hugo and Lajoie, Isabelle and Bengio, Yoshua and
    Manzagol, Pierre-Antoine},
  journal = {Journal of Machine Learning Research}, volume = {11}, pages = {3371--3408}, year = {2010}}""",
    "srivastava2014": """@article{srivastava2014,
  title = {Dropout: A Simple Way to Prevent Neural Networks from Overfitting},
  author = {Srivastava, Nitish and Hinton, Geoffrey and Krizhevsky, Alex and Sutskever, Ilya and
    Salakhutdinov, Ruslan},
  journal = {Journal of Machine Learning Research}, volume = {15}, number = {56}, pages = {1929--1958},
  year = {2014}}""",
    "rifai2011": """@inproceedings{rifai2011,
  title = {Contractive Auto-Encoders: Explicit Invariance During Feature Extraction},
  author = {Rifai, Salah and Vincent, Pascal and Muller, Xavier and Glorot, Xavier and Bengio, Yoshua},
  booktitle = {ICML}, pages = {833--840}, year = {2011}}""",
    "rifai2011b": """@inproceedings{rifai2011b,
  title = {Higher Order Contractive Auto-Encoder},
  author = {Rifai, Salah and Mesnil, Gr{\\'e}goire and Vincent, Pascal and Muller, Xavier and Bengio, Yoshua and
    Dauphin, Yann and Glorot, Xavier},
  booktitle = {ECML PKDD}, pages = {645--660}, year = {2011}}""",
    "ng2011": """@misc{ng2011,
  title = {Sparse Autoencoder}, author = {Ng, Andrew}, howpublished = {CS294A lecture notes, Stanford University},
  year = {2011}}""",
    "makhzani2014": """@inproceedings{makhzani2014,
  title = {k-Sparse Autoencoders}, author = {Makhzani, Alireza and Frey, Brendan}, booktitle = {ICLR},
  year = {2014}, note = {arXiv:1312.5663}}""",
    "gao2025": """@inproceedings{gao2025,
  title = {Scaling and Evaluating Sparse Autoencoders},
  author = {Gao, Leo and {Dupr{\\'e} la Tour}, Tom and Tillman, Henk and Goh, Gabriel and Troll, Rajan and
    Radford, Alec and Sutskever, Ilya and Leike, Jan and Wu, Jeffrey},
  booktitle = {ICLR}, year = {2025}, note = {arXiv:2406.04093}}""",
    "bussmann2024": """@misc{bussmann2024,
  title = {{BatchTopK} Sparse Autoencoders},
  author = {Bussmann, Bart and Leask, Patrick and Nanda, Neel}, year = {2024}, note = {arXiv:2412.06410}}""",
    "rajamanoharan2024": """@misc{rajamanoharan2024,
  title = {Jumping Ahead: Improving Reconstruction Fidelity with {JumpReLU} Sparse Autoencoders},
  author = {Rajamanoharan, Senthooran and Lieberum, Tom and Sonnerat, Nicolas and Conmy, Arthur and
    Varma, Vikrant and Kram{\\'a}r, J{\\'a}nos and Nanda, Neel},
  year = {2024}, note = {arXiv:2407.14435}}""",
    "kingma2014": """@inproceedings{kingma2014,
  title = {Auto-Encoding Variational {Bayes}}, author = {Kingma, Diederik P. and Welling, Max},
  booktitle = {ICLR}, year = {2014}, note = {arXiv:1312.6114}}""",
    "kingma2016": """@inproceedings{kingma2016,
  title = {Improved Variational Inference with Inverse Autoregressive Flow},
  author = {Kingma, Diederik P. and Salimans, Tim and Jozefowicz, Rafal and Chen, Xi and Sutskever, Ilya and
    Welling, Max},
  booktitle = {NeurIPS}, year = {2016}, note = {arXiv:1606.04934}}""",
    "higgins2017": """@inproceedings{higgins2017,
  title = {beta-{VAE}: Learning Basic Visual Concepts with a Constrained Variational Framework},
  author = {Higgins, Irina and Matthey, Loic and Pal, Arka and Burgess, Christopher and Glorot, Xavier and
    Botvinick, Matthew and Mohamed, Shakir and Lerchner, Alexander},
  booktitle = {ICLR}, year = {2017}}""",
    "burgess2018": """@misc{burgess2018,
  title = {Understanding Disentangling in beta-{VAE}},
  author = {Burgess, Christopher P. and Higgins, Irina and Pal, Arka and Matthey, Loic and Watters, Nick and
    Desjardins, Guillaume and Lerchner, Alexander},
  year = {2018}, note = {arXiv:1804.03599}}""",
    "chen2018": """@inproceedings{chen2018,
  title = {Isolating Sources of Disentanglement in Variational Autoencoders},
  author = {Chen, Ricky T. Q. and Li, Xuechen and Grosse, Roger and Duvenaud, David}, booktitle = {NeurIPS},
  year = {2018}, note = {arXiv:1802.04942}}""",
    "kim2018": """@inproceedings{kim2018,
  title = {Disentangling by Factorising}, author = {Kim, Hyunjik and Mnih, Andriy}, booktitle = {ICML},
  year = {2018}, note = {arXiv:1802.05983}}""",
    "kumar2018": """@inproceedings{kumar2018,
  title = {Variational Inference of Disentangled Latent Concepts from Unlabeled Observations},
  author = {Kumar, Abhishek and Sattigeri, Prasanna and Balakrishnan, Avinash}, booktitle = {ICLR},
  year = {2018}, note = {arXiv:1711.00848}}""",
    "tomczak2018": """@inproceedings{tomczak2018,
  title = {{VAE} with a {VampPrior}}, author = {Tomczak, Jakub M. and Welling, Max}, booktitle = {AISTATS},
  year = {2018}, note = {arXiv:1705.07120}}""",
    "burda2016": """@inproceedings{burda2016,
  title = {Importance Weighted Autoencoders}, author = {Burda, Yuri and Grosse, Roger and Salakhutdinov, Ruslan},
  booktitle = {ICLR}, year = {2016}, note = {arXiv:1509.00519}}""",
    "tucker2019": """@inproceedings{tucker2019,
  title = {Doubly Reparameterized Gradient Estimators for {Monte Carlo} Objectives},
  author = {Tucker, George and Lawson, Dieterich and Gu, Shixiang and Maddison, Chris J.}, booktitle = {ICLR},
  year = {2019}, note = {arXiv:1810.04152}}""",
    "rybkin2021": """@inproceedings{rybkin2021,
  title = {Simple and Effective {VAE} Training with Calibrated Decoders},
  author = {Rybkin, Oleh and Daniilidis, Kostas and Levine, Sergey}, booktitle = {ICML}, year = {2021},
  note = {arXiv:2006.13202}}""",
    "loaiza2019": """@inproceedings{loaiza2019,
  title = {The Continuous {Bernoulli}: Fixing a Pervasive Error in Variational Autoencoders},
  author = {Loaiza-Ganem, Gabriel and Cunningham, John P.}, booktitle = {NeurIPS}, year = {2019},
  note = {arXiv:1907.06845}}""",
    "salimans2017": """@inproceedings{salimans2017,
  title = {{PixelCNN++}: Improving the {PixelCNN} with Discretized Logistic Mixture Likelihood and Other
    Modifications},
  author = {Salimans, Tim and Karpathy, Andrej and Chen, Xi and Kingma, Diederik P.}, booktitle = {ICLR},
  year = {2017}, note = {arXiv:1701.05517}}""",
    "jang2017": """@inproceedings{jang2017,
  title = {Categorical Reparameterization with {Gumbel}-Softmax},
  author = {Jang, Eric and Gu, Shixiang and Poole, Ben}, booktitle = {ICLR}, year = {2017},
  note = {arXiv:1611.01144}}""",
    "maddison2017": """@inproceedings{maddison2017,
  title = {The Concrete Distribution: A Continuous Relaxation of Discrete Random Variables},
  author = {Maddison, Chris J. and Mnih, Andriy and Teh, Yee Whye}, booktitle = {ICLR}, year = {2017},
  note = {arXiv:1611.00712}}""",
    "oord2017": """@inproceedings{oord2017,
  title = {Neural Discrete Representation Learning},
  author = {van den Oord, Aaron and Vinyals, Oriol and Kavukcuoglu, Koray}, booktitle = {NeurIPS}, year = {2017},
  note = {arXiv:1711.00937}}""",
    "mentzer2024": """@inproceedings{mentzer2024,
  title = {Finite Scalar Quantization: {VQ-VAE} Made Simple},
  author = {Mentzer, Fabian and Minnen, David and Agustsson, Eirikur and Tschannen, Michael}, booktitle = {ICLR},
  year = {2024}, note = {arXiv:2309.15505}}""",
    "tolstikhin2018": """@inproceedings{tolstikhin2018,
  title = {{Wasserstein} Auto-Encoders},
  author = {Tolstikhin, Ilya and Bousquet, Olivier and Gelly, Sylvain and Schoelkopf, Bernhard},
  booktitle = {ICLR}, year = {2018}, note = {arXiv:1711.01558}}""",
    "makhzani2016": """@misc{makhzani2016,
  title = {Adversarial Autoencoders},
  author = {Makhzani, Alireza and Shlens, Jonathon and Jaitly, Navdeep and Goodfellow, Ian and Frey, Brendan},
  year = {2016}, note = {arXiv:1511.05644}}""",
    "kolouri2019": """@inproceedings{kolouri2019,
  title = {Sliced {Wasserstein} Auto-Encoders},
  author = {Kolouri, Soheil and Pope, Phillip E. and Martin, Charles E. and Rohde, Gustavo K.},
  booktitle = {ICLR}, year = {2019}, note = {arXiv:1804.01947}}""",
    "he2016": """@inproceedings{he2016,
  title = {Deep Residual Learning for Image Recognition},
  author = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian}, booktitle = {CVPR}, year = {2016},
  note = {arXiv:1512.03385}}""",
    "he2022": """@inproceedings{he2022,
  title = {Masked Autoencoders Are Scalable Vision Learners},
  author = {He, Kaiming and Chen, Xinlei and Xie, Saining and Li, Yanghao and Doll{\\'a}r, Piotr and
    Girshick, Ross},
  booktitle = {CVPR}, year = {2022}, note = {arXiv:2111.06377}}""",
}
"""BibTeX entries by key."""

PARTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("latent", "gaussian"): ("kingma2014",),
    ("latent", "full_gaussian"): ("kingma2014",),
    ("latent", "top_k"): ("gao2025",),
    ("latent", "batch_top_k"): ("bussmann2024",),
    ("latent", "jump_relu"): ("rajamanoharan2024",),
    ("latent", "k_sparse"): ("makhzani2014",),
    ("latent", "categorical"): ("jang2017", "maddison2017"),
    ("latent", "quantised"): ("oord2017",),
    ("latent", "finite_scalar"): ("mentzer2024",),
    ("likelihood", "shared_gaussian"): ("rybkin2021",),
    ("likelihood", "optimal_gaussian"): ("rybkin2021",),
    ("likelihood", "continuous_bernoulli"): ("loaiza2019",),
    ("likelihood", "discretised_logistics"): ("salimans2017",),
    ("corruption", "masking"): ("vincent2008",),
    ("corruption", "gaussian"): ("vincent2010",),
    ("corruption", "salt_and_pepper"): ("vincent2010",),
    ("corruption", "blocks"): ("he2022",),
    ("fidelity", "emphasised"): ("vincent2010",),
    ("fidelity", "importance"): ("burda2016",),
    ("prior", "vamp"): ("tomczak2018",),
    ("penalty", "kl"): ("kingma2014",),
    ("penalty", "capacity"): ("burgess2018",),
    ("penalty", "kl_sparsity"): ("ng2011",),
    ("penalty", "contractive"): ("rifai2011",),
    ("penalty", "contractive_h"): ("rifai2011b",),
    ("penalty", "total_correlation"): ("chen2018",),
    ("penalty", "factor"): ("kim2018",),
    ("penalty", "dip"): ("kumar2018",),
    ("penalty", "mmd"): ("tolstikhin2018",),
    ("penalty", "adversarial"): ("makhzani2016", "tolstikhin2018"),
    ("penalty", "sliced"): ("kolouri2019",),
}
"""Keys of the papers behind each kind of part, by family and kind; parts without a paper of their own are left out."""


def keys(recipe: Recipe) -> list[str]:
    """Keys of the papers behind a recipe and its parts, its own paper first, each once."""
    found: list[str] = []
    if recipe.name in RECIPES:
        found += RECIPES[recipe.name].cites
    parts = [recipe.latent, recipe.likelihood, recipe.corruption, recipe.fidelity, *recipe.penalties.values()]
    if recipe.penalties or recipe.fidelity.kind == "importance":
        parts.append(recipe.prior)
    for part in parts:
        found += PARTS.get((part.family, part.kind), ())
    if recipe.fidelity.kind == "importance" and (recipe.fidelity.model_extra or {}).get("gradient") == "doubly":
        found.append("tucker2019")
    return list(dict.fromkeys(found))


def bibtex(found: Iterable[str]) -> str:
    """The entries behind ``found``, as the text of a .bib file."""
    return "\n\n".join(PAPERS[key] for key in found) + "\n"
