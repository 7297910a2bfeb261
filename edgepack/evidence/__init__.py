"""What proves an artifact: running, comparing, timing and gating it. Writing bundles belongs to `bundle`."""
