"""Settings: their definitions and their reading."""

from wordseq.config.schema import Config, DataConfig, DecodeConfig, ModelConfig, TrainConfig

__all__ = ["Config", "DataConfig", "DecodeConfig", "ModelConfig", "TrainConfig"]
