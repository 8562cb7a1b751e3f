"""A residual U-Net for noisy images in plain PyTorch: the network and the augmentation of the recipe ``denoiser``."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS, BLOCKS, NOISE, SHIFT = (32, 64, 80), 2, 0.2, 5


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))

    def forward(self, h: Tensor) -> Tensor:
        """The maps and their correction."""
        return h + self.last(self.first(h.relu()).relu())


class UNet(nn.Module):
    """Predicts what to add to images whose sides are multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        pairs = [*pairwise(WIDTHS)]
        self.first = nn.Conv2d(4, WIDTHS[0], 3, 1, 1)
        self.inwards, self.outwards = (nn.ModuleList(map(_level, WIDTHS)) for _ in range(2))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairs)
        self.last = nn.Conv2d(WIDTHS[0], 4, 3, 1, 1)

    def silence(self) -> None:
        """Let every block, and the whole network, begin as the identity."""
        for part in self.modules():
            if isinstance(part, Block | UNet):
                nn.init.zeros_(part.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Restored images."""
        h, found = self.first(F.pixel_unshuffle(x, 2)), []
        for number, level in enumerate(self.inwards):
            found.append(h := level(h))
            if number < len(self.down):
                h = self.down[number](h)
        h = self.outwards[-1](h)
        for number in range(len(self.up) - 1, -1, -1):
            h = self.outwards[number](found[number] + self.up[number](h))
        return x + F.pixel_shuffle(self.last(h), 2)


def _level(width: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(BLOCKS)))


def augmented(x: Tensor) -> Tensor:
    """Images (B, 1, H, W), each shifted by up to five pixels, and half of them mirrored."""
    height, width = x.shape[-2:]
    wide = F.pad(x, (SHIFT,) * 4, mode="reflect")
    places = torch.randint(2 * SHIFT + 1, (len(x), 2)).tolist()
    rows = [image[:, top : top + height, left : left + width] for image, (top, left) in zip(wide, places, strict=True)]
    mirrored = torch.rand(len(x)) < 0.5
    return torch.stack([row.flip(-1) if flip else row for row, flip in zip(rows, mirrored.tolist(), strict=True)])


def squared_error(encoder: nn.Module, decoder: nn.Module, x: Tensor, _noise: None, dtype: torch.dtype) -> Tensor:
    """Squared error of restored images, with noise cut to [0, 1]."""
    x = augmented(x)
    noisy = (x + NOISE * torch.randn_like(x)).clamp(0, 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        restored = decoder(encoder(noisy))
    return (restored.float() - x).square().sum() / len(x)
