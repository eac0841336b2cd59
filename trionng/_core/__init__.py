"""What a socket is in both APIs: protocols, options, endpoints, pipes, messages."""
