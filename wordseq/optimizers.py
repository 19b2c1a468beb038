"""Update rules by name, the step size over time, and one compiled update."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import keras
import tensorflow as tf

from wordseq.config import TrainConfig

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
    """The step size of an update.

    Linear from 0 to `train.learning_rate` over `train.warmup_steps`, then by `train.schedule`: constant; plateau, times
    `train.decay` for each decay; exponential, times `train.decay` each epoch after the first; inverse_sqrt, times
    sqrt(warmup_steps / step) (Vaswani et al. 2017, equation 3, scaled to its peak).

    Args:
        train: settings.
        step: updates so far, this one included.
        epoch: counted from 1.
        decays: how often dev BLEU stood still for `train.decay_patience` validations.
    """
    warmup = max(1, train.warmup_steps)
    factors = {
        "constant": 1.0,
        "plateau": train.decay**decays,
        "exponential": train.decay ** (epoch - 1),
        "inverse_sqrt": (warmup / max(step, warmup)) ** 0.5,
    }
    return train.learning_rate * min(1.0, step / warmup) * factors[train.schedule]


class Updater:
    """An optimizer with clipping, as one compiled pass over the weights.

    Args:
        train: settings.
        variables: the weights to train.
    """

    def __init__(self, train: TrainConfig, variables: list[keras.Variable]) -> None:
        self.optimizer = OPTIMIZERS[train.optimizer](train)
        self.optimizer.build(variables)
        self.variables = variables
        self.clip_norm = train.clip_norm

    def apply(self, gradients: list[tf.Tensor]) -> tf.Tensor:
        """Clip the gradients to `train.clip_norm` together, update the weights, give the norm before clipping.

        Where the norm is not finite, nothing is updated.
        """
        norm = tf.linalg.global_norm(gradients)
        scale = self.clip_norm / tf.maximum(norm, self.clip_norm) if self.clip_norm else tf.ones([])
        if tf.math.is_finite(norm):
            self._update([gradient * scale for gradient in gradients])
        return norm

    # Compiled: Keras writes an update as a dozen element-wise operations, each a pass over memory; XLA fuses them into one.
    @tf.function(jit_compile=True)
    def _update(self, gradients: list[tf.Tensor]) -> None:
        self.optimizer.apply(gradients, self.variables)
