"""The Keras models, to compile and fit in a notebook. TensorFlow is imported with this module."""

from wordseq.system.tensorflow import import_tensorflow

import_tensorflow()

from wordseq.config.schema import ModelConfig
from wordseq.models.build import make_model
from wordseq.models.same_length import SameLength
from wordseq.models.seq2seq import Seq2Seq, SourceIds

__all__ = ["ModelConfig", "SameLength", "Seq2Seq", "SourceIds", "make_model"]
