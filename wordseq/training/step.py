"""One update: the shards of a batch in parallel, their gradients, the optimizer; in one process or by a team."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from wordseq.config.schema import TrainConfig
from wordseq.models.seq2seq import Seq2Seq
from wordseq.runs.checkpoint import Arrays
from wordseq.runs.folder import LAST, RunFolder
from wordseq.runs.weights import arrays_of, assign, by_path
from wordseq.system.platform import parts
from wordseq.text.vocab import PAD_ID
from wordseq.training.distributed import Team
from wordseq.training.optimizers import Updater, total
from wordseq.training.scheduled_sampling import fed_ids

_IDS = tf.TensorSpec([None, None], tf.int32)

SHARD_ROWS = 16
"""The number of rows of a shard is a multiple of this, so that XLA compiles few shapes."""


class Trainer:
    """A model with its optimizer: one update at a time.

    A batch is computed in `train.shards` shards that do not depend on each other, so that each can use its own processor.

    Args:
        model: trained in place.
        config: settings.
    """

    def __init__(self, model: Seq2Seq, config: TrainConfig) -> None:
        self.model, self.config = model, config
        self.weights = model.trainable_variables
        self.updater = Updater(config, self.weights, model.frozen_weights)

    @tf.function(autograph=False, input_signature=[_IDS, _IDS])
    def update(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Make one update; returns loss and number of the real target tokens, and the norm of the mean gradient.

        The loss is without label smoothing, summed; with softmax in nats.
        """
        return self._update(src_ids_bs, tgt_ids_bt, None)

    @tf.function(autograph=False, input_signature=[_IDS, _IDS, tf.TensorSpec([]), tf.TensorSpec([2], tf.int32)])
    def update_fed(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, share: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`update` with scheduled sampling.

        Args:
            src_ids_bs: sources.
            tgt_ids_bt: targets.
            share: probability that an input of the decoder is the gold token.
            seed: of these draws, see `scheduled_sampling.fed_ids`.
        """
        return self._update(src_ids_bs, tgt_ids_bt, (share, seed))

    def _update(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        shards = self.config.shards or parts()
        found = []
        for k in range(shards):
            # Each shard folds its number into the seed: the same draws, whichever process computes the shard.
            drawn = feeding and (feeding[0], tf.random.experimental.stateless_fold_in(feeding[1], k))
            found.append(self._gradients(_shard(src_ids_bs, k, shards), _shard(tgt_ids_bt, k, shards), drawn))
        nats, tokens, gradients = zip(*found, strict=True)
        tokens = tf.cast(tf.add_n(tokens), tf.float32)
        return tf.add_n(nats), tokens, self.updater.apply(gradients, tokens)

    def _gradients(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | tf.IndexedSlices]]:
        """Loss without smoothing and number of the real target tokens, and the gradients of the summed loss."""
        model = self.model
        with tf.GradientTape() as tape:
            memory, states = model.encode(src_ids_bs, training=True)
            inputs_bt = tgt_ids_bt[:, :-1]
            if feeding is not None:
                # The predictions have no gradient, and recording the search would keep its tensors in memory.
                with tape.stop_recording():
                    inputs_bt = fed_ids(model, inputs_bt, memory, states, *feeding)
            decoded = model.decode(inputs_bt, memory, states, training=True)
            loss, plain, tokens = model.training_loss(decoded, memory, tgt_ids_bt[:, 1:], self.config.label_smoothing)
        return plain, tokens, tape.gradient(loss, [weight.value for weight in self.weights])

    def arrays(self) -> Arrays:
        """Weights, seeds of dropout, averages of weights, and variables of the optimizer."""
        return arrays_of(self.variables())

    def best_arrays(self) -> Arrays:
        """The weights for translating: with `train.average` the averages, else those that are trained."""
        return arrays_of(by_path(self.model.weights) | self.updater.averages)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside a `with` block the model has the weights of `best_arrays`, for a validation."""
        averages = self.updater.averages
        weights = {path: weight for path, weight in by_path(self.weights).items() if path in averages}
        trained = arrays_of(weights)
        for path, weight in weights.items():
            weight.assign(averages[path].value)
        try:
            yield
        finally:
            for path, weight in weights.items():
                weight.assign(trained[path])

    def restore(self, run: RunFolder, arrays: Arrays) -> None:
        """Set the variables to what `arrays` returned.

        Raises:
            UserError: the arrays do not fit the model or the optimizer.
        """
        assign(self.variables(), arrays, run.path_of(LAST))

    def variables(self) -> dict[str, keras.Variable]:
        """The variables by names that are the same in every process."""
        # Keras numbers seeds and optimizers by how many the process made before, so their paths are not used.
        named = by_path(self.model.weights)
        seeds = [variable for variable in self.model.variables if variable.path not in named]
        named |= {f"seeds/{k}": seed for k, seed in enumerate(seeds)}
        named |= {f"average/{path}": average for path, average in self.updater.averages.items()}
        for k, optimizer in enumerate(self.updater.optimizers):
            found = by_path(optimizer.variables)
            named |= {f"optimizer/{k}/{path.partition('/')[2]}": variable for path, variable in found.items()}
        return named


class TeamTrainer(Trainer):
    """Synchronous data parallelism: each replica computes some shards of a batch, and the gradients are all-reduced.

    One process with the same number of shards makes the same updates, dropout included. It draws dropout for one shard after
    another. So a replica skips the draws for the shards before its own, and at the end those for the shards after them.

    Args:
        model: trained in place, made in the team's scope.
        config: settings; `train.shards` is a multiple of the replicas.
        team: the replicas.
    """

    def __init__(self, model: Seq2Seq, config: TrainConfig, team: Team) -> None:
        self.model, self.config, self.team = model, config, team
        self.weights = model.trainable_variables
        self.several_devices = team.replicas > team.processes
        with team.scope():
            self.updater = Updater(config, self.weights, model.frozen_weights, compiled=not self.several_devices)
        for optimizer in self.updater.optimizers:
            # The gradients are already all-reduced. Keras 2 had an argument for that, Keras 3 has none.
            optimizer._all_reduce_sum_gradients = list
        named = by_path(model.weights)
        self.seeds = [variable for variable in model.variables if variable.path not in named]
        self.draws = self._draws_per_shard()

    def _update(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        figures, gradients = self.team.strategy.run(self._share, (src_ids_bs, tgt_ids_bt, feeding))
        nats, tokens, norm = (self.team.strategy.experimental_local_results(figure)[0] for figure in figures)

        def update() -> None:
            if self.several_devices:
                self.team.strategy.run(self.updater.update, (gradients,))
            else:
                self.updater.update(gradients)

        # All replicas return the same figures, so all update or none does.
        tf.cond(tf.math.is_finite(norm), update, lambda: None)
        return nats, tokens, norm

    def _share(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
        """The work of one replica: nats, tokens and norm of the complete batch, and the gradient for the update."""
        context = tf.distribute.get_replica_context()
        shards, replicas, rank = self.config.shards, self.team.replicas, context.replica_id_in_sync_group
        own, found = shards // replicas, []
        self._skip_draws(rank * own)
        for k in range(own):
            place = rank * own + k
            drawn = feeding and (feeding[0], tf.random.experimental.stateless_fold_in(feeding[1], place))
            found.append(self._gradients(_shard(src_ids_bs, place, shards), _shard(tgt_ids_bt, place, shards), drawn))
        self._skip_draws((replicas - 1 - rank) * own)
        nats, tokens, gradients = zip(*found, strict=True)
        # One all-reduce for everything, and before clipping: the norm is that of the complete batch.
        sums = [tf.add_n(nats), tf.cast(tf.add_n(tokens), tf.float32), *total(gradients)]
        nats, tokens, *gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        norm, scale = self.updater.measure(gradients, tokens)
        return (nats, tokens, norm), [gradient * scale for gradient in gradients]

    def _skip_draws(self, shards: tf.Tensor) -> None:
        """Advance the seeds as if dropout had been drawn for this number of shards."""
        for seed, draws in zip(self.seeds, self.draws, strict=True):
            if draws:
                # A Keras seed is a pair of which each draw counts up the second.
                seed.assign(seed.value + tf.stack([0, tf.cast(shards * draws, seed.dtype)]))

    def _draws_per_shard(self) -> list[int]:
        """The number of draws from each seed for one shard, counted in a trial with a minimal shard."""
        before = arrays_of(self._seeds())
        if before:
            ids = tf.constant([[PAD_ID + 1, PAD_ID + 1]])
            tf.function(lambda: self.team.strategy.run(lambda: self._gradients(ids, ids, None)[:2]), autograph=False)()
        draws = [int(after[1]) - int(before[name][1]) for name, after in arrays_of(self._seeds()).items()]
        for name, seed in self._seeds().items():
            seed.assign(before[name])
        return draws

    def _seeds(self) -> dict[str, keras.Variable]:
        return {str(k): seed for k, seed in enumerate(self.seeds)}


def _shard(ids: tf.Tensor, k: int, shards: int) -> tf.Tensor:
    """Every `shards`-th row, starting with row k, plus rows of padding up to a multiple of `SHARD_ROWS`."""
    rows = ids[k::shards]
    filling = (-tf.shape(rows)[0]) % SHARD_ROWS
    return tf.pad(rows, [[0, filling], [0, 0]], constant_values=PAD_ID)
