r"""The parts of the formula: every autoencoder is a choice of these; no kind of part imports another kind.

.. math:: \mathbb E[-\log p(x \mid z)] + \sum_i \lambda_i\,\Omega_i, \qquad z \sim q(z \mid \mathrm{corrupt}(x))

===============  ==========================================================
term             modules
===============  ==========================================================
corrupt          ``corruptions``
q                ``nets`` (encoder) and ``latents``
p                ``nets`` (decoder) and ``likelihoods``
-log p           ``fidelities``
Omega            ``penalties``, and the ``priors`` some of them use
===============  ==========================================================

``protocols`` defines what each kind of part must implement, ``hooks`` what it may implement in addition; ``schedules``
holds option values that change during training.
"""
