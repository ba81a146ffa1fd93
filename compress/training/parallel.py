"""Data-parallel runs on one machine or many: the processes and their communication.

torchrun starts them. All hold the same models, optimisers, replay buffer and random numbers; what is drawn for a batch
is drawn by all, and each computes on its share of it. Gradients, per-sample results and batch statistics are exchanged,
so that all hold the same again after every step.

Gradients are averaged by hand, in one message after the backward pass, and not by torch's DistributedDataParallel. That
one sends buckets while the backward pass runs; a process whose batch does not fit into memory takes it again in halves,
and would leave the others waiting in the middle of theirs. By gloo, with two processes on two busy cores, a step of
ResNet-20 took 1.09 times as long as one that shares nothing, and 1.30 times with DistributedDataParallel; a step of
ResNet-18 1.14 and 1.11 times (`tests/benchmarks/gradients.py`). Whether its overlap is worth more by NCCL on GPUs has
not been measured.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from compress.errors import CompressError, UsageError
from compress.task import Samples, Statistics

PATIENCE = timedelta(hours=4)  # the others wait while the first worker trains a default teacher


class Stateful(Protocol):
    """A model, an optimiser, a distiller."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and containers of them."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Continue from `state_dict()`."""


@dataclass(frozen=True)
class Workers:
    """The processes of a run from the view of one of them. `Workers()` is a single process without communication."""

    rank: int = 0
    size: int = 1

    @classmethod
    def from_environment(cls) -> Workers:
        """The workers that torchrun's environment variables describe; a single process without them."""
        numbers = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")]
        if not dist.is_torchelastic_launched() or not all(number.isdecimal() for number in numbers):
            return cls()  # the id of a run may be left over from another process
        return cls(int(numbers[0]), int(numbers[1]))

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes, prints and scores."""
        return self.rank == 0

    @property
    def part(self) -> tuple[int, int]:
        """Index and number of this worker's share."""
        return self.rank, self.size

    @contextmanager
    def joined(self, device: torch.device) -> Iterator[None]:
        """While entered, the workers are connected by gloo, or by NCCL with one GPU per worker.

        Raises `UsageError` if this machine has fewer GPUs than workers, or if `device` is a single card.
        """
        if self.size == 1:
            yield
            return
        if device.index is not None:
            raise UsageError(
                f"`device` {device} is one card, and there are {self.size} workers: use `device` cuda, one card each"
            )
        if device.type == "cuda":
            _take_own_gpu()
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        yield
        dist.destroy_process_group()  # not after an error: it could wait for a worker that has ended

    def require_shares(self, counts: Mapping[str, int]) -> None:
        """Raise `UsageError` unless each count is divisible by the number of workers."""
        for name, count in counts.items():
            if count % self.size:
                raise UsageError(
                    f"{name} {count} is not divisible by the number of workers, {self.size}: "
                    f"use {-(-count // self.size) * self.size} or another --nproc-per-node"
                )

    def share(self, n: int) -> slice:
        """This worker's part of `n` items that were drawn for all workers."""
        each = n // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def gather(self, values: Tensor) -> Tensor:
        """Every worker's `[n, ...]`, detached, as `[size · n, ...]` in the order of the shares."""
        if self.size == 1:
            return values.detach()
        own = values.detach().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        with _others_present():
            dist.all_gather(parts, own)
        return torch.cat(parts)

    def gather_statistics(self, statistics: Statistics) -> Statistics:
        """The statistics of the samples of all workers."""
        return Statistics(self.gather(statistics.confidence), self.gather(statistics.histogram))

    def gather_samples(self, samples: Samples) -> Samples:
        """The samples of all workers."""
        statistics = self.gather_statistics(samples.statistics)
        return Samples(self.gather(samples.images), self.gather(samples.targets), statistics)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over workers of each element, detached."""
        if self.size == 1:
            return values.detach()
        total = values.detach().clone(memory_format=torch.contiguous_format)
        with _others_present():
            dist.all_reduce(total)
        return total / self.size

    def mean_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The mean over workers of each number; all must know the same names."""
        means = self.mean(torch.tensor(list(numbers.values()), dtype=torch.float64))
        return dict(zip(numbers, means.tolist(), strict=True))

    def any(self, fact: bool) -> bool:
        """Whether the condition holds for at least one worker."""
        return fact if self.size == 1 else bool(self.mean(torch.tensor(float(fact))) > 0)

    @torch.no_grad()
    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each floating-point tensor by its mean over workers, in one message."""
        real = [tensor for tensor in tensors if tensor.is_floating_point()]
        if self.size == 1 or not real:
            return
        means = self.mean(torch.cat([tensor.flatten() for tensor in real]))
        parts = torch.split(means, [tensor.numel() for tensor in real])
        torch._foreach_copy_(real, [part.view(tensor.shape) for part, tensor in zip(parts, real, strict=True)])

    def exchange(self, optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor]) -> Callable[[], None]:
        """A function that turns gradients of a mean over this worker's share into those over the whole batch.

        Gradients of `parameters`, which are the same on all workers, are averaged. Other tensors of `optimizer` belong
        to this worker's samples (latents, pixels), and their gradients are scaled.
        """
        shared = list(parameters)
        shared_ids = {id(parameter) for parameter in shared}
        own = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in shared_ids]

        def exchange() -> None:
            if self.size == 1:
                return
            self.average(p.grad for p in shared if p.grad is not None)
            for parameter in own:
                if parameter.grad is not None:
                    parameter.grad /= self.size

        return exchange

    def align(self, holder: Stateful) -> None:
        """Give every worker's `holder` the state of the first one's."""
        if self.size > 1:
            holder.load_state_dict(self._from_first(holder.state_dict()))

    def _from_first(self, state: dict[str, Any]) -> dict[str, Any]:
        file = io.BytesIO()
        if self.leads:
            torch.save(state, file)
        length = torch.tensor(len(file.getvalue()))
        with _others_present():
            dist.broadcast(length, src=0)
        data = torch.empty(int(length), dtype=torch.uint8)
        if self.leads:
            data = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
        with _others_present():
            dist.broadcast(data, src=0)
        sent: dict[str, Any] = torch.load(
            io.BytesIO(data.numpy().tobytes()), map_location=_to_own_gpu, weights_only=True
        )
        return sent


@contextmanager
def _others_present() -> Iterator[None]:
    """While entered, a transport's error about a peer that has ended becomes one plain line."""
    try:
        yield
    except RuntimeError as error:
        raise CompressError(
            "another worker of this run has ended (see torchrun's report): `resume` continues from the last checkpoint"
        ) from error


def first_to_fail() -> bool:
    """Whether no other worker has failed before this one. The first to fail reports the reason.

    A key in torchrun's store records it, because torchrun outlives the workers.
    """
    if Workers.from_environment().size == 1:
        return True
    try:
        store, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=10)))
        return bool(store.add("compress/failed", 1) == 1)
    except Exception:  # no such store, a broken address, an end that came before: many types
        return True  # two reports are better than none


def _take_own_gpu() -> None:
    own, present = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if own >= present:
        raise UsageError(
            f"{os.environ['LOCAL_WORLD_SIZE']} workers on a machine with {present} GPUs: "
            f"use --nproc-per-node {present}, or `device` cpu"
        )
    torch.cuda.set_device(own)


def _to_own_gpu(storage: Any, location: str) -> Any:
    return storage if location == "cpu" else storage.cuda()
