"""From a request to bundles: the stages in order. What a stage does lives in the room of its trade, not here."""
