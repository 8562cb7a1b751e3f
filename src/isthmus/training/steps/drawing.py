"""The random numbers of a captured step, drawn outside its graph, in the order and with the bits of a step that is not.

A graph that is compiled would draw other numbers. The operations that draw are therefore moved, in order, to a graph of
their own, which runs uncompiled before each step; the numbers become inputs of the step.
"""

from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.fx import Graph, GraphModule, Node

from isthmus.training.steps.refusal import CannotCapture

aten = torch.ops.aten
METADATA = {
    aten.rand_like.default,
    aten.randn_like.default,
    aten.empty_like.default,
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full_like.default,
    aten.new_empty.default,
    aten.new_zeros.default,
    aten.new_ones.default,
    aten.new_full.default,
}
"""Operations that use only the shape, layout and type of their first argument, not its values."""


class Drawing:
    """Moves the operations that draw random numbers out of a graph.

    Args:
        graph: the graph of a step; its random numbers become placeholders ``noise_0``, ``noise_1`` and so on, after its
            other placeholders.

    Raises:
        CannotCapture: the distribution of a random number depends on the inputs of the step.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.outside = graph, Graph()
        self._copies: dict[Node, Node] = {}
        self.numbers = [self._moved(node, i) for i, node in enumerate(_drawn(graph))]
        self.outside.output(tuple(self.numbers))
        graph.eliminate_dead_code()

    def module(self, constants: torch.nn.Module) -> GraphModule:
        """The graph that draws all numbers, as a function without arguments."""
        return GraphModule(constants, self.outside)

    def _moved(self, node: Node, number: int) -> Node:
        """Copy a node and all that it needs to the outer graph, and put a placeholder in its place."""
        copy = self._copied(node)
        last = [n for n in self.graph.nodes if n.op == "placeholder"][-1]
        with self.graph.inserting_after(last):
            placeholder = self.graph.placeholder(f"noise_{number}")
        placeholder.meta["val"] = node.meta["val"]
        if _fills(node):
            # the tensor that was filled and the result are the same
            filled = cast(Node, node.args[0])
            filled.replace_all_uses_with(placeholder, delete_user_cb=lambda user: user is not node)
        node.replace_all_uses_with(placeholder)
        self.graph.erase_node(node)
        return copy

    def _copied(self, node: Node) -> Node:
        if node in self._copies:
            return self._copies[node]
        if node.op == "placeholder":
            raise CannotCapture("the distribution of a random number depends on the data or on the weights")
        if node.target in METADATA:
            copy = self.outside.node_copy(node, self._blank)
        else:
            copy = self.outside.node_copy(node, self._copied)
        self._copies[node] = copy
        return copy

    def _blank(self, node: Node) -> Node:
        """A tensor with the shape, layout and type of the result of ``node``."""
        value: Tensor = node.meta["val"]
        layout: dict[str, Any] = {"dtype": value.dtype, "device": value.device}
        return self.outside.call_function(aten.empty_strided.default, (list(value.shape), list(value.stride())), layout)


def _drawn(graph: Graph) -> list[Node]:
    """The nodes that draw random numbers, in order."""
    return [node for node in graph.nodes if node.op == "call_function" and _is_random(node)]


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _fills(node: Node) -> bool:
    """Whether an operation fills its first argument."""
    schema = getattr(node.target, "_schema", None)
    return bool(schema and schema.is_mutable)
