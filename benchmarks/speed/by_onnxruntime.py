"""Encoding with onnxruntime in float32, in chunks of the row's size."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from networks import pair
from onnx import TensorProto, helper, numpy_helper
from rows import Row
from torch import nn
from turns import Turns


def compete(row: Row, images: np.ndarray, turns: Turns, _variant: str) -> None:
    """One turn after another: the codes of all images."""
    encoder, _ = pair(row.net)
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        onnx.save(graph(encoder), path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    while True:
        turns.wait()
        chunks = range(0, len(x), row.batch)
        z = np.concatenate([session.run(None, {"x": x[start : start + row.batch]})[0] for start in chunks])
        turns.done(len(z), 0.0)


def graph(encoder: nn.Sequential) -> onnx.ModelProto:
    """A chain of linear layers and ReLUs as ONNX."""
    nodes, weights, name = [], [], "x"
    for number, layer in enumerate(part for part in encoder if not isinstance(part, nn.Flatten)):
        following = f"h{number}"
        if isinstance(layer, nn.Linear):
            for kind, value in (("w", layer.weight), ("b", layer.bias)):
                weights.append(numpy_helper.from_array(value.detach().numpy(), f"{kind}{number}"))
            nodes.append(helper.make_node("Gemm", [name, f"w{number}", f"b{number}"], [following], transB=1))
        else:
            nodes.append(helper.make_node("Relu", [name], [following]))
        name = following
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["n", None]) for end in ("x", name)]
    made = helper.make_graph(nodes, "encoder", ends[:1], ends[1:], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
