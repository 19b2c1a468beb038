"""Validation during training: BLEU of greedy translations of the dev split, and the dev loss."""

import dataclasses

from wordseq.data.splits import HeldOut
from wordseq.decoding.translator import Translator
from wordseq.evaluation.evaluate import reference_loss
from wordseq.evaluation.metrics.bleu import bleu
from wordseq.evaluation.metrics.tokenizing import bleu_tokenizer
from wordseq.training.loop import Validation

SHOWN_SAMPLES = 2
"""Dev translations to show after each validation."""


class Validator:
    """Validates on the dev split: BLEU of greedy translations, loss of the first references, some samples."""

    def __init__(self, translator: Translator, dev: HeldOut) -> None:
        self.translator, self.dev = translator, dev
        # Greedy and without copies whatever the decode settings: fast, and the same measure for every checkpoint.
        self.greedy = dataclasses.replace(translator.config.decode, beam_size=1, copy_unknown=False)
        self.tokenize = bleu_tokenizer(translator.config, dev.references)

    def __call__(self) -> Validation:
        """See `loop.Validation`."""
        found = self.translator.translate(self.dev.sources, self.greedy)
        hyps = [self.translator.tgt.stored(hypotheses[0].text) for hypotheses in found]
        loss, tokens = reference_loss(self.translator, self.dev)
        shown = [i * len(hyps) // SHOWN_SAMPLES for i in range(min(SHOWN_SAMPLES, len(hyps)))]
        samples = [(self.dev.sources[i], self.dev.references[i][0], hyps[i]) for i in shown]
        return Validation(bleu(hyps, self.dev.references, tokenize=self.tokenize), loss / tokens, samples)
