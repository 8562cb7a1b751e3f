"""A model of arm and puck that is fitted to blind episodes, and a planner that looks for actions with it.

Plans are two places of the joints, one after the other, that the arm goes to: the cross-entropy method looks for those
after which the model's puck is nearest to the goal.
"""

import numpy as np
import torch
from torch import Tensor, nn

from environment import LINK, Array
from episodes import Episodes

HORIZON, SAMPLES, ELITE, ROUNDS = 30, 192, 16, 4
"""Actions that are looked ahead, plans that are tried in each round, those that are kept, and rounds."""
GAIN = 3.0
LIMITS = torch.tensor([1.8, 2.6])
"""Bounds of the joints, in radians."""
MOVING = 0.1
"""Fraction of the transitions with the largest changes of the puck, which are half of each batch."""


def tip_of(angles: Tensor) -> Tensor:
    """Position of the tip at angles (..., 2), in meters."""
    first, both = angles[..., 0], angles.sum(-1)
    return LINK * torch.stack([first.cos() + both.cos(), first.sin() + both.sin()], -1)


class Dynamics(nn.Module):
    """Two networks: the arm moves by its action, the puck by what the tip does near it."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.arm_net = nn.Sequential(nn.Linear(6, 48), nn.Tanh(), nn.Linear(48, 4))
        self.puck_net = nn.Sequential(
            nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )
        self.register_buffer("size", torch.ones(()))

    def arm(self, arm: Tensor, action: Tensor) -> Tensor:
        """Angles and their velocities (..., 4) after an action."""
        return arm + 0.1 * self.arm_net(torch.cat([arm, action], -1))

    def puck(self, puck: Tensor, tip: Tensor, next_tip: Tensor) -> Tensor:
        """The puck (..., 2) after a movement of the tip."""
        near = [10 * puck, 10 * tip, 30 * (puck - tip), 50 * (next_tip - tip)]
        return puck + self.size * self.puck_net(torch.cat(near, -1))


def fitted(train: Episodes, puck: Array, seed: int, steps: int = 4000, *, weighted: bool = True) -> Dynamics:
    """A model fitted to transitions of blind episodes, where the puck was seen at ``puck`` (N, 51, 2)."""
    torch.manual_seed(seed)
    model, rng = Dynamics(), np.random.default_rng(seed)
    arm = torch.from_numpy(train.arm[..., :4]).float()
    p, actions = torch.from_numpy(puck).float(), torch.from_numpy(train.actions).float()
    now, after = (v.flatten(0, 1) for v in (arm[:, :-1], arm[:, 1:]))
    p_now, p_after, act = (v.flatten(0, 1) for v in (p[:, :-1], p[:, 1:], actions))
    change = (p_after - p_now).norm(dim=1)
    moving = torch.argsort(-change)[: int(MOVING * len(change))].numpy()
    model.size.fill_(change[moving].square().mean().sqrt())
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for _ in range(steps):
        half = rng.choice(moving, 128) if weighted else rng.integers(len(now), size=128)
        rows = torch.from_numpy(np.concatenate([half, rng.integers(len(now), size=128)]))
        arm_error = (model.arm(now[rows], act[rows]) - after[rows]).square().mean() / 0.01
        moved = model.puck(p_now[rows], tip_of(now[rows][:, :2]), tip_of(after[rows][:, :2]))
        puck_error = ((moved - p_after[rows]) / model.size).square().mean()
        optimizer.zero_grad()
        (arm_error + puck_error).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


class Planner:
    """Plans for several goals at once.

    Args:
        model: the model.
        count: number of goals.
        seed: seed of the plans that are tried.
        arm_only: bring the tip to the goal's, in place of the puck.
    """

    def __init__(self, model: Dynamics, count: int, seed: int, *, arm_only: bool = False) -> None:
        self.model, self.arm_only = model, arm_only
        self.generator = torch.Generator().manual_seed(seed)
        self.mean = torch.zeros(count, 5)
        self.fresh = True

    def plan(self, arm: Tensor, puck: Tensor, goal: Tensor) -> Tensor:
        """The best plans (G, 5): two places of the joints, and when the second begins, as a fraction of the horizon."""
        spread = torch.cat([LIMITS / 1.5, LIMITS / 1.5, torch.tensor([0.25])]).expand_as(self.mean).clone()
        mean = self.mean.clone()
        if self.fresh:
            mean[:, 4] = 0.4
        best, best_cost = mean.clone(), torch.full((len(mean),), torch.inf)
        for _ in range(ROUNDS):
            noise = torch.randn(len(mean), SAMPLES, 5, generator=self.generator)
            plans = mean[:, None] + spread[:, None] * noise
            plans[:, 0] = best
            plans[..., :4] = plans[..., :4].clamp(-LIMITS.repeat(2), LIMITS.repeat(2))
            plans[..., 4] = plans[..., 4].clamp(0, 1)
            cost = self._cost(plans, arm, puck, goal)
            order = cost.topk(ELITE, dim=1, largest=False)
            elite = plans.gather(1, order.indices[..., None].expand(-1, -1, 5))
            mean, spread = elite.mean(1), elite.std(1).clamp(min=0.03)
            better = order.values[:, 0] < best_cost
            best = torch.where(better[:, None], elite[:, 0], best)
            best_cost = torch.where(better, order.values[:, 0], best_cost)
        self.mean, self.fresh = best, False
        return best

    @torch.no_grad()
    def _cost(self, plans: Tensor, arm: Tensor, puck: Tensor, goal: Tensor) -> Tensor:
        """Distance of the puck from the goal during each plan (G, S), the end counting most."""
        arm, puck, goal = (v[:, None].expand(*plans.shape[:2], -1) for v in (arm, puck, goal))
        total, tip = torch.zeros(plans.shape[:2]), tip_of(arm[..., :2])
        for t in range(HORIZON):
            arm = self.model.arm(arm, action_of(plans, arm, t / HORIZON))
            next_tip = tip_of(arm[..., :2])
            puck = self.model.puck(puck, tip, next_tip)
            tip = next_tip
            left = ((tip if self.arm_only else puck) - goal).norm(dim=-1)
            total += left / HORIZON
        return total + 2 * left

    def forward_in_time(self, steps: int) -> None:
        """Go on with the plan after so many steps."""
        self.mean[:, 4] = self.mean[:, 4] - steps / HORIZON
        passed = self.mean[:, 4] <= 0
        # the second place has been begun: look for another after it
        self.mean[passed, :2] = self.mean[passed, 2:4]
        self.mean[passed, 4] = 0.5


def action_of(plans: Tensor, arm: Tensor, fraction: float) -> Tensor:
    """The action (..., 2) of a plan: toward the place of its present part."""
    target = torch.where((fraction < plans[..., 4])[..., None], plans[..., :2], plans[..., 2:4])
    return (GAIN * (target - arm[..., :2])).clamp(-1, 1)
