"""The graphs inside the nodes of a graph, such as the branches of an `If`."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import GraphProto, NodeProto


def graphs_in(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that are attributes of a node."""
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def graphs_of(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph itself, and all graphs inside its nodes at any depth."""
    yield graph
    for node in graph.node:
        for inner in graphs_in(node):
            yield from graphs_of(inner)


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes, including those of inner graphs."""
    for inner in graphs_of(graph):
        yield from inner.node
