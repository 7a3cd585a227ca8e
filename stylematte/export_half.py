"""An ONNX graph of a matter that computes in float16, but for its padding and what comes after its last convolution.

Inputs and outputs stay float32. The guided filter, and the picture that it is guided by, stay so too: variances of its
windows cancel in half precision. Conversion by onnxruntime's `float16`. A runtime without float16 kernels (its CPU
provider has few) computes in float32 and rounds.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

KEPT = ["GridSample", "Resize", "Range", "Sin", "Cos"]
"""Operators that stay float32: places in a map need more than 11 bits, and not every runtime enlarges in float16."""


def compute_in_half(model: Any) -> Any:
    """model (onnx.ModelProto, float32) -> the same in float16 between the padding and the last convolution's result."""
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    own, blocked = {node.name for node in model.graph.node}, sorted(outside(model.graph))
    model = onnx.shape_inference.infer_shapes(model)
    ends = [each.type.tensor_type for each in (*model.graph.input, *model.graph.output)]
    for end in ends:  # what is no float the conversion leaves alone: else the picture itself would be rounded first
        end.elem_type = onnx.TensorProto.DOUBLE
    model = convert_float_to_float16(
        model,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *KEPT],
        node_block_list=blocked,
        disable_shape_infer=True,
    )
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    not_rounded_between(model.graph, own)
    sorted_model = OnnxModel(model)
    sorted_model.topological_sort()
    return sorted_model.model


def not_rounded_between(graph: Any, own: set[str]) -> None:
    """The conversion rounds each value that float32 nodes hand each other to float16 and casts it back, once for every
    reader: they get the value itself. own: names of the nodes that were there before it."""
    import onnx

    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    whole = {}
    for output, node in casts.items():
        rounded = casts.get(node.input[0])
        inserted = rounded is not None and rounded.name not in own  # another may make a number of a size
        if node.attribute[0].i == full and inserted and rounded.attribute[0].i == half:
            whole[output] = rounded.input[0]
    made = {node.output[0]: node for node in graph.node}
    for node in made.values():
        for index, name in enumerate(node.input):
            node.input[index] = whole.get(name, name)
    read = {name for node in made.values() for name in node.input} | {each.name for each in graph.output}
    nodes = [node for node in made.values() if node.op_type != "Cast" or node.output[0] in read]
    del graph.node[:]
    graph.node.extend(nodes)


def outside(graph: Any) -> set[str]:
    """Names of the nodes that are no work of the network's layers: that the last convolution does not need, or that are
    needed by such ones."""
    made = {output: node for node in graph.node for output in node.output}
    needs: dict[str, set[str]] = defaultdict(set)
    for node in graph.node:
        if node.op_type != "Shape":  # it asks for no value
            needs[node.name] = {made[name].name for name in node.input if name in made}
    last = [node.name for node in graph.node if node.op_type == "Conv"][-1]
    given = {each.name for each in graph.input}
    first = {node.name for node in graph.node if given & set(node.input)}
    inside = _all_needed({last}, needs) - first
    beside = {name: found - {last} for name, found in needs.items()}  # what it makes of float16 is cast
    return _all_needed({node.name for node in graph.node} - inside, beside)


def _all_needed(names: set[str], needs: dict[str, set[str]]) -> set[str]:
    """names, and all that they need."""
    found, left = set(names), list(names)
    while left:
        new = needs.get(left.pop(), set()) - found
        found |= new
        left += new
    return found
