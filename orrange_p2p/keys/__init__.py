"""Keys: what signs for an owner, a session and a peer, and how an owner's key rests on disk.

A secret never shows in a repr, a message or a log; it leaves its object only through a method that says so.
"""
