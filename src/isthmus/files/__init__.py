"""Files: atomic writing (``atomic``) and reading of untrusted files (``untrusted``)."""
