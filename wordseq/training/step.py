"""One update: a batch in parts side by side, their gradients, the optimizer; in one process or by a team."""

import keras
import tensorflow as tf

from wordseq.batches.batching import mask
from wordseq.config.schema import TrainConfig
from wordseq.models.losses import cross_entropy
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
"""Parts of a batch have a multiple of so many rows, so that few shapes are compiled."""


class Trainer:
    """A model with its optimizer: one update at a time.

    A batch is computed in `train.shards` parts that do not wait for each other, so that each can have a processor of its own.

    Args:
        model: trained in place.
        config: settings.
    """

    def __init__(self, model: Seq2Seq, config: TrainConfig) -> None:
        self.model, self.config = model, config
        self.weights = model.trainable_variables
        self.updater = Updater(config, self.weights, model.frozen_weights)

    @tf.function(input_signature=[_IDS, _IDS])
    def update(self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Nats of a batch's real target tokens, their number, and the norm of the mean gradient, after one update."""
        return self._update(src_ids_bs, tgt_ids_bt, None)

    @tf.function(input_signature=[_IDS, _IDS, tf.TensorSpec([]), tf.TensorSpec([2], tf.int32)])
    def update_fed(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, share: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`update` in which the decoder is fed its own predictions in place of some gold tokens.

        Args:
            src_ids_bs: sources.
            tgt_ids_bt: targets.
            share: probability that a token fed is gold.
            seed: decides which are, see `scheduled_sampling.fed_ids`.
        """
        return self._update(src_ids_bs, tgt_ids_bt, (share, seed))

    def _update(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        shards = self.config.shards or parts()
        found = []
        for k in range(shards):
            drawn = feeding and (feeding[0], tf.random.experimental.stateless_fold_in(feeding[1], k))
            found.append(self._gradients(_shard(src_ids_bs, k, shards), _shard(tgt_ids_bt, k, shards), drawn))
        nats, tokens, gradients = zip(*found, strict=True)
        tokens = tf.cast(tf.add_n(tokens), tf.float32)
        return tf.add_n(nats), tokens, self.updater.apply(gradients, tokens)

    def _gradients(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | tf.IndexedSlices]]:
        """Nats of the real target tokens, their number, and the gradients of the summed loss."""
        model = self.model
        with tf.GradientTape() as tape:
            memory, states = model.encode(src_ids_bs, training=True)
            inputs_bt = tgt_ids_bt[:, :-1]
            if feeding is not None:
                with tape.stop_recording():
                    inputs_bt = fed_ids(model, inputs_bt, memory, states, *feeding)
            hidden_bth, _ = model.decode(inputs_bt, memory, states, training=True)
            gold_bt = tgt_ids_bt[:, 1:]
            # No logits at padding: the product with the vocabulary is most of the work.
            real_n = tf.where(tf.reshape(mask(gold_bt), [-1]))[:, 0]
            hidden_nh = tf.gather(tf.reshape(hidden_bth, [-1, hidden_bth.shape[-1]]), real_n)
            gold_n = tf.gather(tf.reshape(gold_bt, [-1]), real_n)
            loss, nats = cross_entropy(
                hidden_nh,
                *model.output_weights(),
                gold_n,
                label_smoothing=self.config.label_smoothing,
                precision=model.precision,
            )
        return nats, tf.size(gold_n), tape.gradient(loss, [weight.value for weight in self.weights])

    def arrays(self) -> Arrays:
        """Weights, seeds of dropout, and the optimizer's variables."""
        return arrays_of(self.variables())

    def restore(self, run: RunFolder, arrays: Arrays) -> None:
        """Set what `arrays` gave.

        Raises:
            UserError: the arrays do not fit.
        """
        assign(self.variables(), arrays, run.path_of(LAST))

    def variables(self) -> dict[str, keras.Variable]:
        """By names that are the same in every process; Keras numbers seeds and optimizers by how many were made before."""
        named = by_path(self.model.weights)
        seeds = [variable for variable in self.model.variables if variable.path not in named]
        named |= {f"seeds/{k}": seed for k, seed in enumerate(seeds)}
        for k, optimizer in enumerate(self.updater.optimizers):
            found = by_path(optimizer.variables)
            named |= {f"optimizer/{k}/{path.partition('/')[2]}": variable for path, variable in found.items()}
        return named


class TeamTrainer(Trainer):
    """A trainer each of whose replicas computes some of the parts of a batch: one process with as many parts does the same.

    Dropout too: where a process alone would draw for the parts one after the other, a replica passes over the draws for those
    before its own, and afterwards over those for the others.

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
            # Keras 3 has no argument any more that says that the gradients were summed before.
            optimizer._all_reduce_sum_gradients = list
        named = by_path(model.weights)
        self.seeds = [variable for variable in model.variables if variable.path not in named]
        self.draws = self._draws_of_a_part()

    def _update(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        figures, gradients = self.team.strategy.run(self._share, (src_ids_bs, tgt_ids_bt, feeding))
        nats, tokens, norm = (self.team.strategy.experimental_local_results(figure)[0] for figure in figures)
        if tf.math.is_finite(norm):
            if self.several_devices:
                self.team.strategy.run(self.updater.update, (gradients,))
            else:
                self.updater.update(gradients)
        return nats, tokens, norm

    def _share(
        self, src_ids_bs: tf.Tensor, tgt_ids_bt: tf.Tensor, feeding: tuple[tf.Tensor, tf.Tensor] | None
    ) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
        """What one replica does: nats, tokens and norm of the whole batch, and the gradient to update by."""
        context = tf.distribute.get_replica_context()
        shards, replicas, rank = self.config.shards, self.team.replicas, context.replica_id_in_sync_group
        own, found = shards // replicas, []
        self._pass_over(rank * own)
        for k in range(own):
            place = rank * own + k
            drawn = feeding and (feeding[0], tf.random.experimental.stateless_fold_in(feeding[1], place))
            found.append(self._gradients(_shard(src_ids_bs, place, shards), _shard(tgt_ids_bt, place, shards), drawn))
        self._pass_over((replicas - 1 - rank) * own)
        nats, tokens, gradients = zip(*found, strict=True)
        sums = [tf.add_n(nats), tf.cast(tf.add_n(tokens), tf.float32), *total(gradients)]
        nats, tokens, *gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        norm, scale = self.updater.measure(gradients, tokens)
        return (nats, tokens, norm), [gradient * scale for gradient in gradients]

    def _pass_over(self, some_parts: tf.Tensor) -> None:
        """Let the seeds be as if dropout had been drawn for some more parts of a batch."""
        for seed, draws in zip(self.seeds, self.draws, strict=True):
            if draws:
                seed.assign(seed.value + tf.stack([0, tf.cast(some_parts * draws, seed.dtype)]))

    def _draws_of_a_part(self) -> list[int]:
        """How often each seed is drawn from for one part of a batch: seen in a trial with a part of padding and one token."""
        before = arrays_of(self._seeds())
        if before and self.model.config.dropout + self.model.config.recurrent_dropout:
            ids = tf.constant([[PAD_ID + 1, PAD_ID + 1]])
            tf.function(lambda: self.team.strategy.run(lambda: self._gradients(ids, ids, None)[:2]))()
        draws = [int(after[1]) - int(before[name][1]) for name, after in arrays_of(self._seeds()).items()]
        for name, seed in self._seeds().items():
            seed.assign(before[name])
        return draws

    def _seeds(self) -> dict[str, keras.Variable]:
        return {str(k): seed for k, seed in enumerate(self.seeds)}


def _shard(ids: tf.Tensor, k: int, shards: int) -> tf.Tensor:
    """Every so many-th row from the k-th on, filled up with rows of padding to a multiple of `SHARD_ROWS`."""
    rows = ids[k::shards]
    filling = (-tf.shape(rows)[0]) % SHARD_ROWS
    return tf.pad(rows, [[0, filling], [0, 0]], constant_values=PAD_ID)
