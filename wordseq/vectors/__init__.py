"""Sequence-to-sequence models over real-valued vectors, with the arguments of the seq2seq add-on of Keras 2.

It does not use the rest of the package: no text, no vocabulary, no training loop. See docs/vectors.md.
"""

from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()

from wordseq.vectors.models import AttentionSeq2Seq, Seq2Seq, SimpleSeq2Seq

__all__ = ["AttentionSeq2Seq", "Seq2Seq", "SimpleSeq2Seq"]
