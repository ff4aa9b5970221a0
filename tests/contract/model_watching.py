"""The model's part for those who look on: feed, logs, figures, keys, actions."""
