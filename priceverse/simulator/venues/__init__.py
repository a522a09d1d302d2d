"""Each venue's words: matches → frames and REST rows, a client's messages → replies. One file per venue, pure."""
