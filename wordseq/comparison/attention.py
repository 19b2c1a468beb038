"""Where the translations of a run looked in their sources."""

from collections.abc import Sequence

from wordseq.batches.id_store import IdStore
from wordseq.comparison.page.html import END, Alignment
from wordseq.decoding.translator import Translator
from wordseq.runs.folder import Run


def attention_of(run: Run, pairs: Sequence[tuple[str, str]]) -> list[Alignment]:
    """Where the tokens of translations looked in their sources, under the run's best checkpoint.

    Args:
        run: a trained run whose model has attention.
        pairs: normalised sources with translations, which the model is made to give again.

    Raises:
        UserError: the run is not trained, or damaged.
        ValueError: the model has no attention.
    """
    translator = Translator.load(run.folder)
    src, tgt = translator.src, translator.tgt
    found = translator.scorer.alignments(
        IdStore.of([src.to_ids(source) for source, _ in pairs]), IdStore.of([tgt.to_ids(hyp) for _, hyp in pairs])
    )
    return [
        Alignment([*src.tokenizer.tokenize(source), END], [*tgt.tokenizer.tokenize(hyp), END], weights_ts.tolist())
        for (source, hyp), weights_ts in zip(pairs, found, strict=True)
    ]
