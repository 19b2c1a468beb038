"""Metrics: BLEU, chrF and TER by sacreBLEU, with intervals, significance tests and the choice of BLEU's tokenizer."""
