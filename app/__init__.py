"""What is served: the REST service, its stores and its indexes."""
