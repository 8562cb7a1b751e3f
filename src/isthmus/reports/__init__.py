"""Reports: the figures of a run, the diagnosis of problems, and the HTML page."""
