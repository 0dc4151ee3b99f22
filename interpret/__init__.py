"""Why an alert was raised: exact attributions read from the weights."""
