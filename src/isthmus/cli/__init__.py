"""The command ``isthmus``: one thin function per verb, which calls the library."""
