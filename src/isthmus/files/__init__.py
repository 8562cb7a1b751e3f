"""Files: atomic writing (``atomic``), locks of writers (``locks``) and reading of untrusted files (``untrusted``)."""
