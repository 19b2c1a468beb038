"""Validation during training: scores of greedy translations of the dev split, and the dev loss."""

import dataclasses
from collections.abc import Sequence

from wordseq.data.splits import HeldOut
from wordseq.decoding.translator import Translator
from wordseq.evaluation.evaluate import reference_loss
from wordseq.evaluation.metrics.bleu import bleu, chrf
from wordseq.evaluation.metrics.symbols import target_symbols, task_of
from wordseq.evaluation.metrics.tokenizing import bleu_tokenizer
from wordseq.evaluation.metrics.words import percent, word_ratios
from wordseq.training.loop import Validation

SHOWN_SAMPLES = 2
"""Dev translations to show after each validation."""

_OF_WORDS = ("exact", "ser", "cer", "f1")


class Validator:
    """Validates on the dev split: scores of greedy translations, loss of the first references, some samples."""

    def __init__(self, translator: Translator, dev: HeldOut) -> None:
        self.translator, self.dev = translator, dev
        # Greedy and without copies whatever the decode settings: fast, and the same measure for every checkpoint.
        self.greedy = dataclasses.replace(translator.config.decode, beam_size=1, copy_unknown=False)
        self.symbols = target_symbols(translator.config.data)
        self.task = task_of(self.symbols, dev.references)
        self.tokenize = bleu_tokenizer(translator.config, dev.references)

    def __call__(self) -> Validation:
        """See `loop.Validation`."""
        found = self.translator.translate(self.dev.sources, self.greedy)
        hyps = [self.translator.tgt.stored(hypotheses[0].text) for hypotheses in found]
        loss, tokens = reference_loss(self.translator, self.dev)
        shown = [i * len(hyps) // SHOWN_SAMPLES for i in range(min(SHOWN_SAMPLES, len(hyps)))]
        samples = [(self.dev.sources[i], self.dev.references[i][0], hyps[i]) for i in shown]
        return Validation(self._scores(hyps), loss / tokens, samples, self.task)

    def _scores(self, hyps: Sequence[str]) -> dict[str, float]:
        """The scores that `train.select_by` may name; chrF, which takes longest, only where it does."""
        config, refs = self.translator.config, self.dev.references
        ratios = word_ratios(hyps, refs, self.symbols)
        found = {key: float(percent(ratios[key].sum(0))) for key in _OF_WORDS if key in ratios}
        chosen = {"chrf": chrf(hyps, refs)} if config.train.select_by == "chrf" else {}
        return {"bleu": bleu(hyps, refs, tokenize=self.tokenize), **chosen, **found}
