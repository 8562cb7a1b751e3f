"""The command ``isthmus``: thin verbs over the library, which compute nothing themselves."""
