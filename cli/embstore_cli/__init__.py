"""The command line: a thin skin over embstore's public names."""
