"""Other engines on the same work, each as its own script that knows nothing of this house."""
