"""Settings: their definitions and their reading."""

from wordseq.config.data import DataConfig
from wordseq.config.schema import Config, DecodeConfig, ModelConfig, TrainConfig

__all__ = ["Config", "DataConfig", "DecodeConfig", "ModelConfig", "TrainConfig"]
