"""Text to tokens to ids: normalisation, tokenizers, vocabularies."""
