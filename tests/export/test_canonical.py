"""A graph has one form, whatever order and names its nodes had."""

import pytest
from numpy import ones
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from compress.export.canonical import make_canonical


def model(*nodes: NodeProto, weight: str = "w") -> ModelProto:
    """A graph from `images` to `logits` that adds a weight."""
    images, logits = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("images", "logits"))
    weights = [numpy_helper.from_array(ones(2, "float32"), weight)]
    return helper.make_model(helper.make_graph(list(nodes), "graph", [images], [logits], weights))


def node(kind: str, reads: str, makes: str) -> NodeProto:
    return helper.make_node(kind, reads.split(), [makes])


def canonical(proto: ModelProto) -> bytes:
    make_canonical(proto)
    return proto.SerializeToString(deterministic=True)


ABS, NEG, SUM = node("Abs", "images", "a"), node("Neg", "images", "b"), node("Add", "a b", "logits")


def test_independent_nodes_may_have_come_in_any_order() -> None:
    assert canonical(model(ABS, NEG, SUM)) == canonical(model(NEG, ABS, SUM))


def test_values_may_have_had_any_names() -> None:
    other = node("Abs", "images", "x"), node("Neg", "images", "y"), node("Add", "x y", "logits")
    assert canonical(model(ABS, NEG, SUM)) == canonical(model(*other, weight="v"))


def test_another_graph_has_another_form() -> None:
    assert canonical(model(ABS, NEG, SUM)) != canonical(model(ABS, NEG, node("Add", "b a", "logits")))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_what_an_inner_graph_reads_comes_before_it(order: tuple[int, ...]) -> None:
    branch = helper.make_graph(
        [node("Add", "a w", "inner")], "branch", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2])]
    )
    choice = helper.make_node("If", ["yes"], ["logits"], then_branch=branch, else_branch=branch)
    nodes = ABS, node("IsNaN", "images", "yes"), choice
    proto = model(*(nodes[index] for index in order))
    make_canonical(proto)
    assert [each.op_type for each in proto.graph.node] == ["IsNaN", "Abs", "If"]
    (inner,) = proto.graph.node[2].attribute[0].g.node
    assert list(inner.input) == [proto.graph.node[1].output[0], "weight_0"]


def test_nodes_that_no_output_needs_are_left_out() -> None:
    proto = model(ABS, NEG, node("Exp", "b", "unused"), SUM)
    make_canonical(proto)
    assert [each.op_type for each in proto.graph.node] == ["Abs", "Neg", "Add"]
