"""One file a user's task: what a command calls and a notebook imports."""
