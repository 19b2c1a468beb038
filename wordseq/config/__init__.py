"""Settings: what there is, and how they are read."""

from wordseq.config.schema import Config, DataConfig, DecodeConfig, ModelConfig, TrainConfig

__all__ = ["Config", "DataConfig", "DecodeConfig", "ModelConfig", "TrainConfig"]
