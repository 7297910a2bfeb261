"""The folder that an app ships: its files, manifest, goldens, verdict as data. Judging it belongs to `evidence`."""
