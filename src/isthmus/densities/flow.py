r"""Normalizing flows: an invertible network maps codes to a standard normal (needs ``isthmus[flow]``)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.densities.base import Density, check_temperature
from isthmus.errors import BadData, MissingExtra

TRANSFORMS, WIDTHS = 3, (64, 64)
"""Transforms of a flow, and hidden units of the network of each."""


def spline_flow(size: int) -> nn.Module:
    """A neural spline flow over codes of ``size`` values, with new weights.

    Raises:
        MissingExtra: zuko is not installed.
    """
    try:
        import zuko
    except ImportError as error:
        raise MissingExtra(
            "A flow needs the package zuko, which is not installed. Install it with: pip install 'isthmus[flow]'."
        ) from error
    made: nn.Module = zuko.flows.NSF(size, transforms=TRANSFORMS, hidden_features=WIDTHS)
    return made


class Flow(Density):
    r"""Neural spline flow f: :math:`\log \hat p(z) = \log \mathcal N(f(z); 0, I) + \log |\det \partial f/\partial z|`.

    Codes are standardized first. At temperature T the flow maps noise of the standard deviation T to codes.

    Args:
        center: mean of the codes, (d,).
        scale: their standard deviations, (d,).
        flow: the flow of zuko over codes of d values.

    Raises:
        MissingExtra: zuko is not installed.

    References:
        Neural spline flows (Durkan et al., 2019)
    """

    kind = "flow"
    shapes: ClassVar[Mapping[str, str]] = {}

    def __init__(self, center: Float[Tensor, " d"], scale: Float[Tensor, " d"], flow: nn.Module | None = None) -> None:
        if center.shape != scale.shape or center.ndim != 1 or not bool((scale > 0).all()):
            raise BadData("The mean and the scale of a flow do not match, or the scale is not above 0. Fit it again.")
        self.center, self.scale = center.double(), scale.double()
        self.flow: Any = (spline_flow(len(center)) if flow is None else flow).double().eval()

    @property
    def size(self) -> int:
        """Number of values d of a code."""
        return len(self.center)

    def tensors(self) -> dict[str, Tensor]:
        """Center, scale and the weights of the flow."""
        weights = {f"flow.{name}": value.detach() for name, value in self.flow.state_dict().items()}
        return {"center": self.center, "scale": self.scale, **weights}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The flow with these weights."""
        if not {"center", "scale"} <= tensors.keys():
            raise BadData("A flow has a center and a scale, but they are missing. Fit it again.")
        made = cls(tensors["center"], tensors["scale"])
        weights = {name.removeprefix("flow."): v for name, v in tensors.items() if name not in ("center", "scale")}
        try:
            made.flow.load_state_dict(weights)
        except RuntimeError as error:
            raise BadData("The weights of a flow do not match its size. Fit it again.") from error
        return made

    @torch.no_grad()
    def sample(self, n: int, *, temperature: float = 1.0) -> Float[Tensor, "n d"]:
        """``n`` codes, from noise through the inverse of the flow."""
        check_temperature(temperature)
        noise = temperature * torch.randn(n, self.size, dtype=torch.float64)
        standard: Tensor = self.flow().transform.inv(noise)
        return self.center + self.scale * standard

    @torch.no_grad()
    def _log_prob(self, z: Float[Tensor, "N d"]) -> Float[Tensor, " N"]:
        found: Tensor = self.flow().log_prob((z - self.center) / self.scale)
        return found - self.scale.log().sum()
