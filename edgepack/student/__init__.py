"""The encoder that is trained and exported: config, model, teacher as one. Cutting it belongs to `compress`."""
