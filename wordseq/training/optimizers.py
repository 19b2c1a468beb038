"""Optimizers by name, learning-rate schedules, the compiled update, and the moving average of the weights."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from wordseq.config.schema import TrainConfig

# Epsilon is that of the Adam paper (Kingma and Ba 2015) and of PyTorch; Keras has 1e-7.
OPTIMIZERS: Mapping[str, Callable[[TrainConfig], keras.optimizers.Optimizer]] = MappingProxyType(
    {
        "adam": lambda train: keras.optimizers.Adam(train.learning_rate, epsilon=1e-8),
        "adamw": lambda train: keras.optimizers.AdamW(
            train.learning_rate, weight_decay=train.weight_decay, epsilon=1e-8
        ),
        "sgd": lambda train: keras.optimizers.SGD(train.learning_rate),
        "rmsprop": lambda train: keras.optimizers.RMSprop(train.learning_rate),
        "adadelta": lambda train: keras.optimizers.Adadelta(train.learning_rate),
    }
)


def learning_rate(train: TrainConfig, step: int, epoch: int, decays: int) -> float:
    """The learning rate of an update.

    It rises linearly from 0 to `train.learning_rate` over `train.warmup_steps`. Then `train.schedule` gives a factor:

        constant      1
        plateau       train.decay for each decay
        exponential   train.decay for each epoch after the first
        inverse_sqrt  sqrt(warmup_steps / step) (Vaswani et al. 2017, equation 3, scaled to its peak)

    Args:
        train: settings.
        step: number of this update, counted from 1.
        epoch: counted from 1.
        decays: number of times that the dev score did not improve for `train.decay_patience` validations.
    """
    warmup = max(1, train.warmup_steps)
    factors = {
        "constant": 1.0,
        "plateau": train.decay**decays,
        "exponential": train.decay ** (epoch - 1),
        "inverse_sqrt": (warmup / max(step, warmup)) ** 0.5,
    }
    return train.learning_rate * min(1.0, step / warmup) * factors[train.schedule]


GROUPS = 2
"""Groups of weights of about equal size, which are updated in parallel."""

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


class Updater:
    """An optimizer with clipping, compiled by XLA.

    With `train.average` it also keeps an exponential moving average of the weights. After update t, counted from 1, it is

        average += (1 - decay) (weight - average),    decay = min(train.average, (1 + t) / (10 + t))

    The first decays are small, so that the random initial weights are soon forgotten. This is the rule of TensorFlow's
    `tf.train.ExponentialMovingAverage` with `num_updates`. Averaging goes back to Polyak and Juditsky (1992).

    Args:
        train: settings.
        variables: the weights to train.
        undecayed: the weights without weight decay.
        compiled: compile the update; only possible if all weights are on one device.

    Attributes:
        averages: the moving averages by the paths of the weights; empty without `train.average`.
    """

    def __init__(
        self,
        train: TrainConfig,
        variables: list[keras.Variable],
        undecayed: Sequence[keras.Variable] = (),
        compiled: bool = True,
    ) -> None:
        self.clip_norm = train.clip_norm
        self.places = _groups([int(np.prod(variable.shape)) for variable in variables])
        self.groups = [[variables[place] for place in places] for places in self.places]
        with _float32():
            self.optimizers = [OPTIMIZERS[train.optimizer](train) for _ in self.groups]
        for optimizer, group in zip(self.optimizers, self.groups, strict=True):
            if undecayed:
                optimizer.exclude_from_weight_decay(list(undecayed))
            optimizer.build(group)
        # Keras makes an update of a dozen element-wise operations, each a pass over memory. XLA fuses them into one.
        updates = [_update(*pair) for pair in zip(self.optimizers, self.groups, strict=True)]
        fused = functools.partial(tf.function, autograph=False, jit_compile=True)
        self._updates = [fused(update) for update in updates] if compiled else updates
        self.averages: dict[str, keras.Variable] = {}
        self._moves: list[Callable[[], None]] = []
        if train.average:
            self.averages = {weight.path: keras.Variable(weight.numpy(), dtype="float32") for weight in variables}
            pairs = zip(self.optimizers, self.groups, strict=True)
            moves = [_average(train.average, optimizer, group, self.averages) for optimizer, group in pairs]
            # Compiled apart from the updates: fused with them, XLA could round the weights otherwise than without averages.
            self._moves = [fused(move) for move in moves] if compiled else moves

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the next updates."""
        for optimizer in self.optimizers:
            optimizer.learning_rate.assign(rate)

    def apply(self, shares: Sequence[Sequence[Gradient]], count: tf.Tensor | float = 1.0) -> tf.Tensor:
        """Update the weights by the mean gradient, clipped by its global norm. If the norm is not finite, nothing is updated.

        Args:
            shares: the gradients of each shard of a batch, in the order of the variables.
            count: number of tokens that the mean is over.

        Returns:
            The norm before clipping.
        """
        gradients = total(shares)
        norm, scale = self.measure(gradients, count)
        # One NaN in the moments of Adam would stay there for ever.
        tf.cond(tf.math.is_finite(norm), lambda: self.update(gradients, scale), lambda: None)
        return norm

    def measure(self, gradients: Sequence[tf.Tensor], count: tf.Tensor | float) -> tuple[tf.Tensor, tf.Tensor]:
        """The norm of the mean gradient, and the factor from the summed gradient to the mean and clipped one."""
        norm = tf.linalg.global_norm(gradients) / count
        return norm, (self.clip_norm / tf.maximum(norm, self.clip_norm) if self.clip_norm else 1.0) / count

    def update(self, gradients: Sequence[tf.Tensor], scale: tf.Tensor | None = None) -> None:
        """Update the weights by the gradients times `scale`."""
        for update, places in zip(self._updates, self.places, strict=True):
            update([gradients[place] for place in places], scale)
        for move in self._moves:
            move()


@contextmanager
def _float32() -> Iterator[None]:
    """Inside a `with` block, Keras creates variables without a dtype, such as the learning rate, as float32."""
    before = keras.config.floatx()
    keras.config.set_floatx("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def _update(optimizer: keras.optimizers.Optimizer, group: list[keras.Variable]) -> Callable[..., None]:
    """A function that updates a group of weights by gradients times a factor."""

    # The factor is applied in here, where XLA fuses it with the update.
    def update(gradients: list[tf.Tensor], scale: tf.Tensor | None) -> None:
        optimizer.apply(gradients if scale is None else [gradient * scale for gradient in gradients], group)

    return update


def _average(
    decay: float,
    optimizer: keras.optimizers.Optimizer,
    group: list[keras.Variable],
    averages: Mapping[str, keras.Variable],
) -> Callable[[], None]:
    """A function that moves the averages of a group towards its weights, after the optimizer has updated them."""

    def move() -> None:
        updates = tf.cast(optimizer.iterations.value, tf.float32)
        share = 1.0 - tf.minimum(decay, (1.0 + updates) / (10.0 + updates))
        for weight in group:
            average = averages[weight.path]
            # Of equal values exactly 0: what is not trained keeps its value bit for bit.
            average.assign(average.value + share * (weight.value - average.value))

    return move


def _groups(sizes: Sequence[int]) -> list[list[int]]:
    """Indices of the weights of each group; the groups have about the same size."""
    groups: list[list[int]] = [[] for _ in range(min(GROUPS, len(sizes)))]
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        min(groups, key=lambda group: sum(sizes[k] for k in group)).append(place)
    return [sorted(group) for group in groups]


def total(shares: Sequence[Sequence[Gradient]]) -> list[tf.Tensor]:
    """The gradient of each weight, summed over the shards of a batch."""
    sums = []
    for parts in zip(*shares, strict=True):
        if isinstance(parts[0], tf.IndexedSlices):
            # The rows of all shards go into one dense matrix. Adding dense matrices would cost a pass for each shard.
            values, indices = (tf.concat([getattr(part, name) for part in parts], 0) for name in ("values", "indices"))
            sums.append(tf.math.unsorted_segment_sum(values, indices, parts[0].dense_shape[0]))
        else:
            sums.append(tf.add_n([tf.convert_to_tensor(part) for part in parts]))
    return sums
