"""The version of edgepack, for its own modules: the package's face knows them, so they do not import it."""

__version__ = "0.1.0"
