"""Search, forced decoding, and translation of text of any size."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wordseq.config.schema import Config
    from wordseq.decoding.translator import Translator


class LoadedFrom(NamedTuple):
    """Where a translator was loaded from."""

    folder: str
    checkpoint: str
    precision: str
    sha256: str
    """Of the checkpoint."""


def load_again(folder: str, checkpoint: str, precision: str, sha256: str, config: "Config") -> "Translator":
    """Load a translator that was pickled in another process; it is here so that TensorFlow is imported quietly.

    Raises:
        UserError: the run is not there, is damaged, or was trained since.
    """
    from wordseq.system.tensorflow import import_tensorflow

    import_tensorflow()
    from wordseq.decoding.translator import Translator
    from wordseq.system.errors import UserError

    translator = Translator.load(folder, checkpoint, precision)
    if translator.origin is None or translator.origin.sha256 != sha256:
        raise UserError(f"{folder}: was trained since the Translator was pickled; load it again")
    translator.config = config
    return translator
