"""A Ray cluster: joining one, and what actors may take of it. Ray is imported late."""
