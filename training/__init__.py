"""From logs to a model folder: corpora, the loop, calibration, evaluation."""
