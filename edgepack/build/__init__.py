"""From a request to bundles: the stages in order. How one works belongs to `compress`, `train`, `export`."""
