"""From a budget to a shape: exact bytes, estimated loss and speed, the search. Making it belongs to `compress`."""
