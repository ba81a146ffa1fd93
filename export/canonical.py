"""One form of a graph, whatever order and names the exporter gave to its nodes: equal networks give equal bytes."""

from __future__ import annotations

from onnx import GraphProto, ModelProto, NodeProto

from .inner_graphs import graphs_in, graphs_of


def make_canonical(proto: ModelProto) -> None:
    """Order nodes by what the outputs need, then number nodes and values in that order.

    torch's order of independent nodes differs from trace to trace, and its numbers between processes. Nodes that no
    output needs are left out.
    """
    for graph in reversed(list(graphs_of(proto.graph))):  # inner graphs first: the nodes around them are then copied
        _order(graph)
    _rename(proto)


def _order(graph: GraphProto) -> None:
    """Depth first from the outputs, what an earlier input needs before what a later one does."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [[makers[name] for name in _read_by(node) if name in makers] for node in graph.node]
    order: dict[int, None] = {}
    pending = [makers[value.name] for value in reversed(graph.output) if value.name in makers]
    while pending:
        missing = [index for index in needs[pending[-1]] if index not in order]
        if missing:
            pending.append(missing[0])
        else:
            order[pending.pop()] = None
    nodes = [graph.node[index] for index in order]
    del graph.node[:]
    graph.node.extend(nodes)


def _read_by(node: NodeProto) -> list[str]:
    """Names of the values that a node reads, those that its inner graphs read included."""
    names = list(node.input)
    for graph in (each for inner in graphs_in(node) for each in graphs_of(inner)):
        names += [name for within in graph.node for name in within.input]
        names += [value.name for value in graph.output]
    return names


def _rename(proto: ModelProto) -> None:
    graphs = list(graphs_of(proto.graph))  # torch makes names of values unique over all of them
    names = {value.name: value.name for value in (*proto.graph.input, *proto.graph.output)}
    for index, weight in enumerate(weight for graph in graphs for weight in graph.initializer):
        weight.name = names.setdefault(weight.name, f"weight_{index}")
    nodes = [node for graph in graphs for node in graph.node]
    for index, node in enumerate(nodes):
        node.name = f"{node.op_type}_{index}"
        for place, name in enumerate(node.output):
            node.output[place] = names.setdefault(name, f"{node.name}_{place}") if name else ""
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
    for value in (value for graph in graphs[1:] for value in graph.output):
        value.name = names.get(value.name, value.name)
