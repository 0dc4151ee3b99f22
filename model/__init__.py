"""What training, interpretation and service share: events, decoder, scorer, detectors, folder."""
