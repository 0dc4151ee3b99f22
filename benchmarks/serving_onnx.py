"""The same decoder in ONNX Runtime, on one thread: the whole window anew for every event.

The graph is written by hand, so that it computes less than PyTorch's decoder does: of each layer
only the places that the last event depends on, and the logits at that event alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import torch
from jaxtyping import Float, Int
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from ..model.config import DecoderConfig
from ..model.folder import Model
from ..model.weights import Weights
from .serving_peers import STREAMS, Step

_OPSET, _FORMAT = 20, 9  # versions of the operators and of the file; both long in use
_END = np.iinfo(np.int64).max


class _Graph:
    """Nodes and constants in the order that they are needed; a value is known by its name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def last(self, value: str, places: int) -> str:
        """The last places of axis 1."""
        bounds = [self.constant(np.array([at])) for at in (-places, _END, 1)]
        return self.add("Slice", value, *bounds)


def windowed(model: Model) -> Step:
    """All that the layers look back on once more for every event."""
    c = model.config.decoder
    window = np.zeros((STREAMS, c.n_layers * (c.window - 1) + 1), dtype=np.int64)
    session = _session(model.weights, c)

    def step(tokens: Int[Tensor, " streams"]) -> object:
        (log_p,) = session.run(None, {"window": window})
        window[:, :-1] = window[:, 1:]
        window[:, -1] = tokens.numpy()
        return torch.from_numpy(log_p[:, 0]).gather(1, tokens[:, None])

    return step


def _session(w: Weights, c: DecoderConfig) -> onnxruntime.InferenceSession:
    g = _Graph()
    places = c.n_layers * (c.window - 1) + 1
    resid = g.add("Gather", g.constant(w.W_E), "window")
    for layer in range(c.n_layers):
        after = places - (c.window - 1)
        heads = _heads(g, w, c, layer, resid, places)
        resid = g.add("Add", g.last(resid, after), heads)
        places = after
    logits = g.add("Add", g.add("MatMul", resid, g.constant(w.W_U)), g.constant(w.b_U))
    log_p = g.add("LogSoftmax", logits, axis=2)
    graph = helper.make_graph(
        g.nodes,
        "decoder",
        [helper.make_tensor_value_info("window", TensorProto.INT64, [STREAMS, None])],
        [helper.make_tensor_value_info(log_p, TensorProto.FLOAT, [STREAMS, 1, c.d_vocab])],
        g.constants,
    )
    versions = {"opset_imports": [helper.make_opsetid("", _OPSET)], "ir_version": _FORMAT}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    file = helper.make_model(graph, **versions).SerializeToString()
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _heads(g: _Graph, w: Weights, c: DecoderConfig, layer: int, resid: str, places: int) -> str:
    """What the heads of a layer add, at all places but the first window − 1."""
    queries = places - (c.window - 1)
    shape = g.constant(np.array([0, -1, c.n_heads, c.d_head]))

    def project(
        weight: Float[np.ndarray, "head d_model d_head"],
        bias: Float[np.ndarray, "head d_head"],
        last: int,
        order: tuple[int, ...],
    ) -> str:
        matrix = weight.transpose(1, 0, 2).reshape(c.d_model, -1)
        if layer == 0:  # an event is the same wherever it stands, as in the decoder
            table = g.constant(w.W_E @ matrix + bias.ravel())
            projected = g.add("Gather", table, g.last("window", last))
        else:
            product = g.add("MatMul", g.last(resid, last), g.constant(matrix))
            projected = g.add("Add", product, g.constant(bias.ravel()))
        return g.add("Transpose", g.add("Reshape", projected, shape), perm=order)

    scale = np.float32(1.0 / np.sqrt(c.d_head))
    q = project(w.W_Q[layer] * scale, w.b_Q[layer] * scale, queries, (0, 2, 1, 3))
    k = project(w.W_K[layer], w.b_K[layer], places, (0, 2, 3, 1))
    v = project(w.W_V[layer], w.b_V[layer], places, (0, 2, 1, 3))
    # The sink is one more key: all zeros, so its bias is its score; value zero.
    none = np.zeros((STREAMS, c.n_heads, c.d_head, 1), dtype=np.float32)
    k = g.add("Concat", k, g.constant(none), axis=3)
    v = g.add("Concat", v, g.constant(none.transpose(0, 1, 3, 2)), axis=2)
    bias = g.constant(_bias(w.rho[layer], w.sink[layer], queries, places))
    pattern = g.add("Softmax", g.add("Add", g.add("MatMul", q, k), bias), axis=3)
    z = g.add("Transpose", g.add("MatMul", pattern, v), perm=(0, 2, 1, 3))
    z = g.add("Reshape", z, g.constant(np.array([0, -1, c.n_heads * c.d_head])))
    out = g.constant(w.W_O[layer].reshape(-1, c.d_model))
    return g.add("Add", g.add("MatMul", z, out), g.constant(w.b_O[layer]))


def _bias(
    rho: Float[np.ndarray, "head window"],
    sink: Float[np.ndarray, " head"],
    queries: int,
    places: int,
) -> Float[np.ndarray, "head query key_and_sink"]:
    """rho by distance, −∞ outside the window; the sink's score last."""
    heads, window = rho.shape
    distance = np.arange(places - queries, places)[:, None] - np.arange(places)
    seen = (distance >= 0) & (distance < window)
    bias = np.where(seen, rho[:, np.clip(distance, 0, window - 1)], -np.inf)
    sinks = np.broadcast_to(sink[:, None, None], (heads, queries, 1))
    return np.concatenate([bias, sinks], axis=2).astype(np.float32)
