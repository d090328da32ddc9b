"""Settings, logging and the message catalogues: the only part that reads the environment."""
