"""The domain of Huiban: what a membership is and does, free of any web framework and of any queue."""
